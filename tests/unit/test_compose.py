"""The compose file names only what exists, publishes on loopback only, and builds this project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices

from stope.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COMMENTS = "\n".join(line for line in TEXT.splitlines() if line.lstrip().startswith("#"))
CODE = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))

TEMPORAL_SERVICES = {"temporal", "temporal-ui"}
TEMPORALS_OWN = {"TEMPORAL_ADDRESS"}
"""Variables that Temporal's images read themselves."""


def setting_variables() -> set[str]:
    """The environment variables that ``Settings`` reads."""
    return {
        str(field.validation_alias.choices[0])
        if isinstance(field.validation_alias, AliasChoices)
        else f"STOPE_{name.upper()}"
        for name, field in Settings.model_fields.items()
    }


def mounts(service: str) -> list[tuple[str, str]]:
    """Sources and targets of a service's volumes; a ``${VAR:-default}`` is its default."""
    volumes = SERVICES[service].get("volumes", [])
    plain = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume) for volume in volumes]
    return [(volume.split(":")[0], volume.split(":")[1]) for volume in plain]


def test_every_substituted_variable_has_a_default_a_message_or_a_comment() -> None:
    # A variable that is only substituted becomes an empty text when nobody sets it.
    found = re.findall(r"\$\{?(\w+)((?::?[-?][^}]*)?)", CODE)
    assert {"POSTGRES_PASSWORD", "STOPE_LLM"} <= {name for name, _ in found}
    assert [name for name, rest in found if not rest and name not in COMMENTS] == []


def test_variables_handed_through_are_explained() -> None:
    # A name without a value is taken from the caller's environment, or left unset.
    handed = {
        name
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if value is None
    }
    assert {"OPENAI_API_KEY", "OPENAI_BASE_URL"} <= handed
    assert {name for name in handed if name not in COMMENTS} == set()


def test_no_password_stands_in_the_file() -> None:
    values = [
        str(value)
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|PWD|KEY|DATABASE_URL", name) and value is not None
    ]
    assert values
    assert [value for value in values if "${POSTGRES_PASSWORD:?" not in value] == []


@pytest.mark.parametrize("service", SERVICES)
def test_variables_of_ours_and_of_temporal_exist(service: str) -> None:
    names = {
        name
        for name in SERVICES[service].get("environment", {})
        if name.startswith(("STOPE_", "TEMPORAL_"))
    }
    known = TEMPORALS_OWN if service in TEMPORAL_SERVICES else setting_variables()
    assert names <= known


def test_the_worker_is_given_the_shared_stores() -> None:
    environment = SERVICES["worker"]["environment"]
    assert set(environment) <= setting_variables()
    assert {"TEMPORAL_ADDRESS", "STOPE_DATABASE_URL", "STOPE_ARTIFACTS_URL"} <= set(environment)
    # Whatever it keeps lies on a volume.
    targets = [target for _, target in mounts("worker")]
    for name in ("STOPE_ARTIFACTS_URL", "STOPE_HOME", "STOPE_MODELS"):
        path = environment[name].removeprefix("file://")
        assert any(path == target or path.startswith(f"{target}/") for target in targets), name


def test_ports_are_published_on_loopback_only() -> None:
    ports = [str(port) for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_worker_is_built_from_this_repository() -> None:
    worker = SERVICES["worker"]
    assert worker["build"] == "."
    assert "image" not in worker
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'ENTRYPOINT ["stope"]' in dockerfile
    copied = [
        name
        for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE)
        for name in line.split()
    ]
    sources = {name for name in copied if not name.startswith("./")}
    assert {name for name in sources if not (ROOT / name).exists()} == set()
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {name for name in sources if f"!{name}" not in let_through} == set()


def test_the_image_does_not_run_as_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (\w+)$", dockerfile, re.MULTILINE)[-1:] == ["stope"]


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_waited_for_says_when_it_is_healthy(service: str) -> None:
    assert "healthcheck" in SERVICES[service]
    for other, wait in SERVICES[service].get("depends_on", {}).items():
        assert wait == {"condition": "service_healthy"}
        assert other in SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_exists(service: str) -> None:
    for source, _ in mounts(service):
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"worker"}))
def test_images_of_others_have_a_version(service: str) -> None:
    _, _, tag = SERVICES[service]["image"].partition(":")
    assert re.fullmatch(r"[0-9][\w.-]*", tag)
