"""The form of a new run, made from the schema: every kind, every choice, every error at its field."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse, QueryDict
from django.urls import reverse
from pydantic import ValidationError

from gpu_jobs import cost, registry
from gpu_jobs import spec as specs
from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.runs import scene
from webapp.pages.forms.nodes import Block, Knob, Node, walk
from webapp.pages.forms.schema import ASKED
from webapp.pages.forms.spec import spec_form
from webapp.pages.forms.values import read, written
from webapp.pages.runs import choices as offered
from webapp.runs.models import Run, Upload

KINDS = sorted(registry.kinds())


def posted(nodes: list[Node]) -> QueryDict:
    """What a browser sends of a form that nobody touched."""
    data = QueryDict(mutable=True)
    for node in nodes:
        if isinstance(node, Block) and node.tag:
            data.appendlist(node.tag_name, node.selected)
        if isinstance(node, Knob):
            values = ["false", *["true"] * (node.value == "true")] if node.widget == "switch" else [node.value]
            data.setlist(node.name, values)
    return data


def choices(kind: str) -> list[tuple[str, str]]:
    blocks = [node for node in walk(spec_form(specs.schema(kind), {}).groups) if isinstance(node, Block)]
    return [(block.name, value) for block in blocks for value, _ in block.options if value]


@pytest.mark.parametrize("kind", KINDS)
def test_an_untouched_form_is_the_spec_with_its_defaults(kind: str) -> None:
    schema = specs.schema(kind)
    form = spec_form(schema, {})
    values = read(schema, posted(list(walk(form.groups))))
    minimal = {"kind": kind, **{name: values[name] for name in schema["required"] if name in values}}
    assert outcome(values) == outcome(minimal)


def outcome(values: dict[str, Any]) -> Any:
    """The spec, or what it still lacks: nobody can know from which models a merge starts."""
    try:
        return specs.parse(values)
    except ValidationError as error:
        return [(item["loc"], item["msg"]) for item in error.errors()]


@pytest.mark.parametrize(("kind", "block", "value"), [(kind, *choice) for kind in KINDS for choice in choices(kind)])
def test_every_choice_shows_its_own_fields_and_can_be_read_back(kind: str, block: str, value: str) -> None:
    schema = specs.schema(kind)
    *outer, last = block.split(".")
    chosen: dict[str, Any] = {last: {"name": value, "source": value}}
    for part in reversed(outer):
        chosen = {part: chosen}
    nodes = list(walk(spec_form(schema, chosen).groups))
    found = next(node for node in nodes if isinstance(node, Block) and node.name == block)
    again = functools.reduce(dict.__getitem__, [*outer, last], read(schema, posted(nodes)))
    assert found.selected == value and (value in again.values() or found.tag == ASKED)


def test_a_part_that_may_be_left_out_is_left_out_until_it_is_asked_for() -> None:
    schema = specs.schema("prune")
    for values in ({}, {"retrain": None}):
        assert "retrain" not in read(schema, posted(list(walk(spec_form(schema, values).groups))))
    nodes = list(walk(spec_form(schema, {"retrain": {"steps": 7}}).groups))
    assert read(schema, posted(nodes))["retrain"]["steps"] == 7


def test_what_is_read_is_typed_and_what_is_not_a_number_stays_as_it_was_typed() -> None:
    data = QueryDict(
        "method.name=lora&method.rank=16&method.targets=q_proj,+v_proj&optimizer.lr=3e-4&steps=ten&batch_size=1,024"
        "&compile=false&compile=true&gradient_checkpointing=false&clip_norm=&seed=nan"
    )
    values = read(specs.schema("finetune"), data)
    assert values["method"] == {"name": "lora", "rank": 16, "targets": ["q_proj", "v_proj"]}
    assert (values["optimizer"]["lr"], values["steps"], values["batch_size"]) == (3e-4, "ten", 1024)
    assert (values["compile"], values["gradient_checkpointing"], values["seed"]) == (True, False, "nan")
    assert "clip_norm" not in values


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-08, "1e-8"), (0.001, "0.001"), (16.0, "16"), (True, "true"), (None, ""), (["a", "b"], "a, b"), (7, "7")],
)
def test_values_are_written_as_one_would_type_them(value: Any, text: str) -> None:
    assert written(value) == text


def test_errors_stand_at_their_fields_and_what_has_none_is_kept() -> None:
    errors = [
        {"loc": ["spec", "optimizer", "lr"], "msg": "too fast"},
        {"loc": ["spec", "model", "config", "layers"], "msg": "too deep"},
        {"loc": ["spec", "run:7"], "msg": "no such run"},
        {"loc": ["spec"], "msg": "something else"},
    ]
    values = {"model": {"source": "run", "run": 7}}
    form = spec_form(specs.schema("finetune"), values, errors)
    at = {node.name: node.errors for node in walk(form.groups) if node.errors}
    assert at == {"optimizer.lr": ["too fast"], "model": ["too deep"], "model.run": ["no such run"]}
    assert form.errors == ["something else"]


def test_every_field_has_help_or_speaks_for_itself() -> None:
    """A field without a word of help has a name that the schema explains at its block."""
    silent = [node.name for kind in KINDS for node in walk(spec_form(specs.schema(kind), {}).groups)
              if isinstance(node, Knob) and not node.help]  # fmt: skip
    assert silent == []


# ---- the page


def post(team: Team, do: str = "queue", role: str = "editor", **fields: Any) -> HttpResponse:
    data = {"kind": "pretrain", "mode": "form", "do": do, **fields}
    return team.client(role).post(reverse("run-new", args=[team.project.slug]), data)


def fields_of(page: str) -> list[str]:
    return re.findall(r'<(?:input|select|textarea)[^>]*?\bname="([^"]+)"', page)


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?kind=finetune", "?kind=merge", "?kind=no-such", "?clone=999", "?base=x"])
def test_the_form_is_clean_markup(team: Team, query: str) -> None:
    address = reverse("run-new", args=[team.project.slug]) + query
    check(address, team.client("editor").get(address))


@pytest.mark.django_db
def test_queueing(team: Team) -> None:
    answer = post(team, steps="20", name="mine", tags="b, a", priority="3", queue="night")
    run = Run.objects.get()
    assert answer["Location"] == reverse("run", args=[team.project.slug, run.pk])
    assert (run.name, run.tags, run.priority, run.queue_id, run.steps) == ("mine", ["a", "b"], 3, "night", 20)
    assert run.created_by == team.people["editor"]


@pytest.mark.django_db
def test_a_wrong_form_comes_back_with_everything_and_the_sentence_of_the_api(team: Team) -> None:
    answer = post(team, **{"steps": "-5", "optimizer.lr": "fast", "name": "kept", "queue": "No Such"})
    page = answer.content.decode()
    assert answer.status_code == 422
    for kept in ('value="-5"', 'value="fast"', 'value="kept"', 'value="No Such"'):
        assert kept in page
    with pytest.raises(Exception) as caught:
        scene.submit(team.project, user=team.people["editor"], changes={"steps": -5})
    sentence = caught.value.errors[0]["msg"]  # type: ignore[attr-defined]
    assert sentence in page
    check("again", answer)
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_what_is_wrong_outside_the_spec_stands_at_its_field_too(team: Team) -> None:
    page = post(team, queue="No Such", baseline="999").content.decode()
    assert "queue must have" in page
    assert "baseline must be a run of project" in page


@pytest.mark.django_db
def test_rearranging_the_form_holds_nothing_against_it(team: Team) -> None:
    answer = post(team, "refresh", **{"kind": "finetune", "method.name": "lora", "steps": "abc", "priority": "x"})
    assert answer.status_code == 200
    assert "method.rank" in fields_of(answer.content.decode())
    assert 'class="errors"' not in answer.content.decode()
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_json_is_queued_as_it_is_and_its_errors_are_named(team: Team) -> None:
    good = {**scene.SPEC, "steps": 7}
    assert post(team, mode="json", spec=json.dumps(good)).status_code == 302
    assert Run.objects.get().steps == 7
    for text, sentence in (
        ("{", "This is not JSON"),
        ("[]", "A spec is a JSON object"),
        ('{"kind": "pretrain", "seed": NaN}', "NaN is no number"),
        (json.dumps({**good, "steps": 0}), "greater than or equal to 1"),
        (json.dumps({**good, "wings": 2}), "There is no such field."),
    ):
        answer = post(team, mode="json", spec=text)
        assert answer.status_code == 422
        assert sentence in answer.content.decode()
    assert Run.objects.count() == 1


@pytest.mark.django_db
def test_text_that_cannot_be_stored_is_refused_at_its_field(team: Team) -> None:
    answer = post(team, **{"model.source": "path", "model.path": "a\x00b"})
    assert answer.status_code == 422
    assert "NUL" in answer.content.decode()


@pytest.mark.django_db
def test_a_copy_and_a_run_on_top_are_prefilled(team: Team) -> None:
    run = scene.submit(team.project, user=team.people["editor"], name="original", changes={"seed": 41})
    client, address = team.client("editor"), reverse("run-new", args=[team.project.slug])
    page = client.get(f"{address}?clone={run.pk}").content.decode()
    assert re.search(r'name="seed"\s+value="41"', page)
    assert 'value="original"' in page
    page = client.get(f"{address}?base={run.pk}").content.decode()
    assert re.search(rf'<option value="{run.pk}"\s+selected', page)


@pytest.mark.django_db
def test_a_base_that_is_named_is_offered_however_many_came_after_it(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scene.submit(team.project, user=team.people["editor"])
    monkeypatch.setattr(offered, "MOST", 0)
    assert offered.bases(team.project, team.people["editor"]) == []
    page = team.client("editor").get(f"{reverse('run-new', args=[team.project.slug])}?base={run.pk}").content.decode()
    assert re.search(rf'<option value="{run.pk}"\s+selected', page)


@pytest.mark.django_db
def test_the_runs_of_sweeps_are_offered_after_the_others(team: Team) -> None:
    alone, of_a_sweep = (scene.submit(team.project, user=team.people["editor"]) for _ in range(2))
    Run.objects.filter(pk=of_a_sweep.pk).update(share="sweep:1")
    assert offered.bases(team.project, team.people["editor"]) == [alone, of_a_sweep]


@pytest.mark.django_db
def test_the_run_of_another_is_neither_offered_nor_copied(team: Team) -> None:
    foreign = scene.submit(scene.project("Secret"), user=scene.person(), name="hush")
    page = team.client("editor").get(reverse("run-new", args=[team.project.slug]) + f"?clone={foreign.pk}")
    assert b"hush" not in page.content
    answer = post(team, **{"kind": "finetune", "model.source": "run", "model.run": str(foreign.pk)})
    assert answer.status_code == 422
    assert f"There is no run {foreign.pk} that you can read." in answer.content.decode()


@pytest.mark.django_db
def test_a_file_that_comes_with_the_form_is_kept_and_chosen(team: Team) -> None:
    file = SimpleUploadedFile("poems.txt", b"roses are red\n" * 50)
    answer = post(team, "upload", **{"data.source": "upload", "file": file})
    upload = Upload.objects.get()
    assert (upload.name, upload.project) == ("poems.txt", team.project)
    assert re.search(rf'<option value="{upload.pk}"\s+selected', answer.content.decode())


def forecast(team: Team, **fields: Any) -> str:
    data = {"kind": "pretrain", "mode": "form", **fields}
    page = team.client("editor").post(reverse("run-plan", args=[team.project.slug]), data).content.decode()
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.mark.django_db
def test_the_plan_counts_tokens_and_parameters(team: Team) -> None:
    """nano: 258 x 64 embedding (tied), 2 layers of 4 x 64 x 64 + 3 x 64 x 176 + 2 x 64, a last norm of 64."""
    text = forecast(team, steps="10", batch_size="4", sequence_length="32")
    total = 258 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 176 + 2 * 64) + 64
    assert f"Trainable 100 % {total:,}" in text
    assert "Tokens 1.28k" in text


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(registry.methods("architectures")))
def test_an_architecture_is_chosen_in_the_form_and_planned(team: Team, name: str) -> None:
    """Its knobs are fields; what they say is queued, and what is wrong with one stands at it."""
    chosen = {"model.source": "library", "model.architecture.name": name}
    page = post(team, "refresh", **chosen)
    check("architecture", page)
    known = [field for field in registry.methods("architectures")[name].knobs.model_fields if field != "name"]
    assert {f"model.architecture.{field}" for field in known} <= set(fields_of(page.content.decode()))
    sizes = {"model.architecture.layers": "2", "model.architecture.width": "32", "model.architecture.heads": "2"}
    model = {"source": "library", "architecture": {"name": name, "layers": 2, "width": 32, "heads": 2}}
    spec = {**scene.SPEC, "kind": "pretrain", "model": model}
    total = cost.plan(specs.parse(spec)).parameters["total"]
    assert f"Trainable 100 % {total:,}" in forecast(team, **chosen, **sizes)
    assert post(team, **chosen, **sizes).status_code == 302
    assert Run.objects.get().spec["model"]["architecture"]["width"] == 32
    wrong = post(team, **chosen, **{**sizes, "model.architecture.heads": "5"})
    assert wrong.status_code == 422
    assert "width must be a multiple of 2 x heads: 32 is not a multiple of 10" in wrong.content.decode()


@pytest.mark.django_db
def test_a_list_of_models_is_written_as_json_queued_with_its_inputs_and_planned(team: Team) -> None:
    base, expert = (scene.submit(team.project, user=team.people["editor"]) for _ in range(2))
    total = cost.plan(specs.parse(scene.SPEC)).parameters["total"]
    config = cost.config_of(specs.parse(scene.SPEC), {})  # type: ignore[arg-type]
    Run.objects.filter(pk=base.pk).update(facts={"task": "causal_lm", "model": {"config": config}})
    experts = [{"model": {"source": "run", "run": expert.pk}, "weight": 0.5}]
    fields = {"kind": "merge", "base.source": "run", "base.run": str(base.pk), "experts": json.dumps(experts)}
    assert f"{total:,}"[:3] in forecast(team, **fields) and "weights are added" in forecast(team, **fields)
    assert post(team, **fields).status_code == 302
    run = Run.objects.get(kind="merge")
    assert run.spec["experts"][0]["weight"] == 0.5
    assert {item.source_id for item in run.inputs.all()} == {base.pk, expert.pk}
    experts[0]["model"] = {"source": "run", "run": 999}
    wrong = post(team, **{**fields, "experts": json.dumps(experts)})
    assert wrong.status_code == 422
    assert "There is no run 999 that you can read." in wrong.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "method", "words"),
    [
        ("prune", {"name": "wanda", "pattern": "4:8"}, "pattern 4:8 needs widths divisible by 8"),
        ("compress", {"name": "lowrank_svd", "rank": "18"}, "method.rank 18 saves nothing"),
    ],
)
def test_what_does_not_fit_the_model_stands_at_its_field(
    team: Team, kind: str, method: dict[str, str], words: str
) -> None:
    model = {"source": "config", "architecture": "llama", "layers": "2", "width": "36", "heads": "2", "context": "64"}
    chosen = {f"model.{name}": value for name, value in model.items()} | {"kind": kind, "sequence_length": "32"}
    chosen |= {f"method.{name}": value for name, value in method.items()}
    answer = post(team, **chosen)
    field = next(name for name in method if name != "name")
    assert answer.status_code == 422 and not Run.objects.exists()
    assert words in answer.content.decode()
    assert re.search(rf'name="method.{field}"[^>]*aria-invalid="true"', answer.content.decode())
    assert words in forecast(team, **chosen)


@pytest.mark.django_db
def test_the_plan_says_what_is_still_wrong(team: Team) -> None:
    text = forecast(team, **{"steps": "0", "optimizer.lr": "x"})
    assert "2 things are still to be set right" in text
    assert "steps" in text and "optimizer.lr" in text
