"""deploy/: no root, the helper and service alone, probes that the service answers, options that it has."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from crosstune.commands import serve
from crosstune.serve.http.gate import OPEN
from served import tiny_export

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
HEAVY = {"torch", "transformers", "datasets", "accelerate", "onnx", "nncf"}


def _yaml(name: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all((DEPLOY / name).read_text()))


def _options() -> set[str]:
    app = typer.Typer()
    serve.register(app)
    return {name for parameter in typer.main.get_command(app).params for name in parameter.opts}


def _image() -> list[str]:
    """The last stage of the Dockerfile, which is what runs."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    return lines[max(place for place, line in enumerate(lines) if line.startswith("FROM ")) :]


def test_the_image_runs_without_root_and_holds_the_service_alone() -> None:
    image, whole = _image(), (DEPLOY / "Dockerfile").read_text()
    user = next(line.split()[1] for line in image if line.startswith("USER "))
    assert int(user) > 0
    assert image.index(f"USER {user}") < next(
        n for n, line in enumerate(image) if line.startswith("ENTRYPOINT")
    )
    assert [line for line in image if line.startswith("COPY")] == [
        "COPY --from=build /opt/crosstune /opt/crosstune"
    ]
    assert re.findall(r"'\.\[(.*)\]'", whole) == ["serve"]
    lines = metadata("crosstune").get_all("Requires-Dist") or []
    installed = [line for line in lines if "extra ==" not in line or re.search(r"extra == .serve.", line)]
    assert len(installed) > 5
    assert not HEAVY & {re.split(r"[\[<>=; ]", line)[0] for line in installed}
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", whole, flags=re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split()), line
    probe = re.search(r"http://127\.0\.0\.1:8080(/\w+)", whole)
    assert probe and probe[1] in OPEN


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "kubernetes.yaml"])
def test_the_options_that_are_given_exist(name: str) -> None:
    given = set(re.findall(r'"(--[a-z-]+)"', (DEPLOY / name).read_text()))
    assert given and given <= _options()


def test_the_pod_has_no_rights_and_probes_that_need_no_key() -> None:
    deployment = next(part for part in _yaml("kubernetes.yaml") if part["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    container = pod["containers"][0]
    rights = container["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert (rights["allowPrivilegeEscalation"], rights["readOnlyRootFilesystem"]) == (False, True)
    probes = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert probes == {"startupProbe": "/ready", "readinessProbe": "/ready", "livenessProbe": "/health"}
    assert set(probes.values()) <= OPEN
    service = next(part for part in _yaml("kubernetes.yaml") if part["kind"] == "Service")
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_the_compose_file_has_no_rights_and_listens_on_loopback() -> None:
    service = _yaml("compose.yaml")[0]["services"]["reranker"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.slow
def test_the_steps_of_the_image_give_a_small_service_without_torch() -> None:
    script = ROOT / "scripts" / "check_image.sh"
    done = subprocess.run(["bash", script, tiny_export()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"(\d+) MB installed, served without torch, stopped with exit 0", done.stderr)
    assert found and int(found[1]) > 100, "something is installed"
