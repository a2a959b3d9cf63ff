"""docker-compose.yml as far as it can be checked without Docker: its services, variables and dependencies."""

import re

import yaml

from tests.system.test_settings import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]


def test_it_has_every_part_of_the_system():
    assert set(SERVICES) == {"postgres", "redis", "migrate", "web", "beat", "worker-cpu", "worker-gpu"}


def test_every_setting_it_passes_on_is_documented():
    documented = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert set(re.findall(r"HONE_[A-Z_]+", TEXT)) <= documented
    assert set(SERVICES["web"]["environment"]) <= documented


def test_every_image_is_public_or_built_here():
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert {service["image"] for service in SERVICES.values()} - built == {"postgres:18", "redis:7"}
    targets = set(re.findall(r"^FROM .* AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.M))
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= targets
