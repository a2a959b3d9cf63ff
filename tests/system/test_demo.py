import pytest
from django.core.management import call_command

from webapp.runs.models import Run


@pytest.mark.django_db
def test_the_tour_is_a_pretraining_run_and_two_that_wait_for_its_checkpoint(capsys):
    call_command("demo")
    base, full, lora = Run.objects.order_by("id")
    assert [run.kind for run in (base, full, lora)] == ["pretrain", "finetune", "finetune"]
    assert [run.spec["method"]["name"] for run in (full, lora)] == ["full", "lora"]
    assert {run.spec["model"]["run"] for run in (full, lora)} == {base.id}
    assert lora.baseline == full
    assert "/p/tour/runs/" in capsys.readouterr().out


@pytest.mark.django_db
def test_a_second_tour_goes_into_the_same_project():
    call_command("demo")
    call_command("demo")
    assert Run.objects.count() == 6
    assert Run.objects.values("project").distinct().count() == 1
