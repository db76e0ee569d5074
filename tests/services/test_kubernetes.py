"""services/kubernetes: manifests that Kubernetes would take, for commands and settings that exist.

Nothing is applied here: there is no cluster. The schemas are those of Kubernetes itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

import geotarget
from geotarget.api import create_watched
from geotarget.settings import Settings
from tests.services.containers import SERVICES, compose, instructions, parse_command

FOLDER = SERVICES / "kubernetes"
README = (FOLDER / "README.md").read_text()
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
SECRETS = {
    name: set(re.findall(r"--from-literal=(\w+)=", rest))
    for name, rest in re.findall(
        r"create secret generic ([\w-]+)((?:.|\\\n)*?)(?=\nkubectl|\n```)", README
    )
}
"""What the README has people put into each secret."""


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file, manifest) of all that is applied."""
    for name in KUSTOMIZATION["resources"]:
        for document in yaml.safe_load_all((FOLDER / name).read_text()):
            yield name, document


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, pod) of everything that runs."""
    for _, document in documents():
        if document["kind"] in {"Deployment", "Job"}:
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield (name, pod, container)."""
    for name, pod in pods():
        for each in [*pod.get("initContainers", ()), *pod["containers"]]:
            yield f"{name}/{each['name']}", pod, each


CONTAINERS = [pytest.param(pod, each, id=name) for name, pod, each in containers()]
OURS = [each for each in CONTAINERS if "args" in each.values[1]]
SETTINGS = next(each["data"] for _, each in documents() if each["kind"] == "ConfigMap")


def test_every_file_is_applied() -> None:
    """Nothing lies beside the kustomization that it does not name."""
    there = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == there


@pytest.mark.parametrize(
    "document", [pytest.param(each, id=f"{name}-{each['kind']}") for name, each in documents()]
)
def test_manifests_follow_the_schema(document: dict[str, Any]) -> None:
    """Of the newest version that is known here, without a field that it does not know."""
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize(("pod", "container"), OURS)
def test_commands_are_those_of_the_command_line(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    """The entrypoint is the image's; the arguments are parsed as they would be there."""
    parse_command(container["args"])


@pytest.mark.parametrize(("pod", "container"), OURS)
def test_settings_come_from_what_is_made(
    pod: dict[str, Any], container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ConfigMap of the folder and the secrets of the README; each is a setting."""
    assert container["envFrom"] == [
        {"configMapRef": {"name": "geotarget"}}, {"secretRef": {"name": "geotarget"}}
    ]  # fmt: skip
    for each in container.get("env", ()):
        reference = each["valueFrom"]["secretKeyRef"]
        assert reference["key"] in SECRETS[reference["name"]]
        assert each["name"] == reference["key"]
    known = {f"GEOTARGET_{name.upper()}" for name in Settings.model_fields}
    assert set(SETTINGS).union(*SECRETS.values()) <= known
    for variable, value in SETTINGS.items():
        monkeypatch.setenv(variable, value)
    chosen = Settings.read()
    assert pod.get("terminationGracePeriodSeconds", 60) >= chosen.drain_s + 30


def test_secrets_are_all_used() -> None:
    """Who runs a process with no need of the administrators' keys does not get them."""
    assert set(SECRETS) == {"geotarget", "geotarget-admin"}
    asked = {
        (reference["name"], reference["key"])
        for _, _, each in containers()
        for reference in (entry["valueFrom"]["secretKeyRef"] for entry in each.get("env", ()))
    }
    assert asked == {("geotarget-admin", key) for key in SECRETS["geotarget-admin"]}


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_everybody_is_held(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """No root, no capability, no writable root, bounds on CPU, memory and folders."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(container["resources"]["limits"])
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} <= set(volumes)
    assert all(each["emptyDir"]["sizeLimit"] for each in volumes.values())


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_the_image_is_the_one_of_the_repository(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    """Its user, its folders, its version."""
    dockerfile = instructions((SERVICES / "geotarget" / "Dockerfile").read_text())
    user = dict(dockerfile)["USER"]
    context = pod["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert container["image"] == "geotarget"
    (image,) = KUSTOMIZATION["images"]
    assert (image["name"], str(image["newTag"])) == ("geotarget", geotarget.__version__)
    folders = {each["mountPath"] for each in container["volumeMounts"]}
    in_compose = {each.split(":")[1] for each in compose()["services"]["serve"]["volumes"]}
    if "args" in container:
        assert folders == in_compose | {"/tmp"}
    else:
        assert f"{container['command'][-2]}" == "/var/cache/geotarget/."
        assert {container["command"][-1].rstrip("/")} == folders


def test_probes_ask_what_is_answered() -> None:
    """At the port of health, which the ConfigMap opens, under paths that are served."""
    paths = {route.path for route in create_watched(tuple).routes}
    for name, pod in pods():
        for container in pod["containers"]:
            ports = {each["name"]: each["containerPort"] for each in container.get("ports", ())}
            if pod.get("restartPolicy") == "OnFailure":
                assert not ports
                continue
            assert str(ports["health"]) == SETTINGS["GEOTARGET_HEALTH_PORT"]
            assert str(ports.get("http", 8080)) == SETTINGS["GEOTARGET_PORT"]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container[probe]["httpGet"]
                assert asked["path"] in paths, name
                assert asked["port"] == "health"
            assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_labels_find_their_pods() -> None:
    """Deployments select their own; the Service leads to the API, at a port that it names."""
    for _, document in documents():
        if document["kind"] == "Deployment":
            template = document["spec"]["template"]["metadata"]
            assert document["spec"]["selector"]["matchLabels"] == template["labels"]
            port = template["annotations"]["prometheus.io/port"]
            assert port == SETTINGS["GEOTARGET_HEALTH_PORT"]
        if document["kind"] == "Service":
            assert document["spec"]["selector"] == {"app": "serve"}
            assert [each["targetPort"] for each in document["spec"]["ports"]] == ["http"]
