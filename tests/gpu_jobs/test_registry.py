"""One file is one method, and nothing else is edited."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_jobs import methods, registry
from gpu_jobs.errors import MethodError

FOLDER = Path(methods.__file__).parent
NEW_METHOD = '''"""Step: the rate halves every `every` steps."""
from typing import Literal
from gpu_jobs import registry
LR = 3e-4
class Knobs(registry.Knobs):
    name: Literal["halving"]
    every: int = 10
def factor(knobs, at):
    return 0.5 ** (at.step // knobs.every)
'''
BLOCKED = """
import sys
for name in ("torch", "transformers", "peft", "django", "celery", "psycopg", "redis", "numpy"):
    sys.modules[name] = None
from gpu_jobs import cost, registry, spec
assert set(registry.families()) >= {"adapters", "strategies", "optimizers", "schedules"}
assert all(registry.methods(family) for family in registry.families())
for kind in registry.kinds():
    assert spec.schema(kind)["properties"]["kind"]
parsed = spec.parse({"kind": "finetune", "model": {"source": "builtin"}, "data": {"source": "builtin"},
                     "method": {"name": "lora"}})
print(cost.plan(parsed).parameters["trainable"])
"""


def test_specs_methods_and_plans_load_without_torch_or_the_web() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, cwd=FOLDER.parents[1])
    assert done.returncode == 0, done.stderr
    # 2 layers x 4 projections x 8 x (64 + 64)
    assert int(done.stdout) == 8192


def test_every_file_is_a_method_and_every_method_a_file() -> None:
    files = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.py")}
    found = {f"{family}/{name}" for family in registry.families() for name in registry.methods(family)}
    assert found == {file for file in files if not file.endswith("__init__")}


@pytest.mark.parametrize("family", registry.families())
def test_no_knob_is_called_like_what_chooses_a_shape(family: str) -> None:
    """A change of `name`, `source` or `kind` replaces the object in which it stands (webapp.runs.merging)."""
    for method in registry.methods(family).values():
        assert not {"source", "kind"} & method.knobs.model_fields.keys(), method.name


@pytest.mark.parametrize("family", registry.families())
def test_every_method_says_what_it_is(family: str) -> None:
    for method in registry.methods(family).values():
        assert method.title
        assert method.summary.endswith(".")
        assert all(field.description for name, field in method.knobs.model_fields.items() if name != "name")


def test_an_unknown_family_is_told_those_there_are() -> None:
    with pytest.raises(MethodError, match="adapters"):
        registry.methods("spells")


def test_a_new_file_is_a_new_method(tmp_path: Path) -> None:
    shutil.copytree(FOLDER.parent, tmp_path / "gpu_jobs", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "gpu_jobs/methods/schedules/halving.py").write_text(NEW_METHOD)
    code = (
        "from gpu_jobs import registry, spec\n"
        "from gpu_jobs.methods.schedules import Moment\n"
        "method = registry.methods('schedules')['halving']\n"
        "assert (method.title, method.summary) == ('Step', 'The rate halves every `every` steps.')\n"
        "assert (method.lr, registry.methods('schedules')['constant'].lr) == (3e-4, None)\n"
        "data = {'kind': 'pretrain', 'model': {'source': 'builtin'}, 'data': {'source': 'builtin'}}\n"
        "parsed = spec.parse({**data, 'schedule': {'name': 'halving', 'every': 3}})\n"
        "assert method.module.factor(parsed.schedule, Moment(6, 100, 0, 1, 1.0)) == 0.25\n"
        "assert 'halving' in spec.schema('pretrain')['properties']['schedule']['discriminator']['mapping']\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
