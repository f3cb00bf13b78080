"""What the files for containers and for Kubernetes say, for the tests in tests/deploy."""

import functools
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
STANDALONE = ROOT / "k8s" / "polyglot.yaml"
OVERLAYS = sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir())


class _ComposeLoader(yaml.SafeLoader):
    """Knows the tags with which a file takes the place of what another says."""


_ComposeLoader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node, deep=True))


def compose(name: str) -> dict[str, Any]:
    """The file of this name, its variables left as they are."""
    return yaml.load((ROOT / name).read_text(), _ComposeLoader)


def services_in_production() -> dict[str, Any]:
    """The services as compose.prod.yaml leaves them, as far as the tests ask: members of members are merged."""
    base, over = (compose(name)["services"] for name in ("compose.yaml", "compose.prod.yaml"))
    return {name: _merged(service, over.get(name, {})) for name, service in base.items()}


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {name: _merged(base[name], over[name]) for name in base.keys() & over.keys() if isinstance(base[name], dict)}
    return base | over | both


def interpolated(value: Any, variables: dict[str, str]) -> str:
    """A value with each ${NAME}, ${NAME-default}, ${NAME:-default} or ${NAME:?message} in it put in."""

    def put(match: re.Match[str]) -> str:
        name, colon, operator, rest = match.groups()
        if (given := variables.get(name)) is not None and (given or not colon):
            return given
        assert operator != "?", f"{name}: {rest}"
        return rest or ""

    return re.sub(r"\$\{(\w+)(?:(:?)([-?])([^}]*))?\}", put, str(value))


@functools.cache
def objects(overlay: str | None = None) -> list[dict[str, Any]]:
    """The objects of k8s/polyglot.yaml as it stands, or of an overlay as kubectl builds it."""
    if overlay is None:
        text = STANDALONE.read_text()
    else:
        command = ["kubectl", "kustomize", ROOT / "k8s" / "overlays" / overlay]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def one(kind: str, name: str, overlay: str | None = None) -> dict[str, Any]:
    """The object of this kind and name."""
    (found,) = (each for each in objects(overlay) if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    """The only container of its pods."""
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


def environment(deployment: dict[str, Any], overlay: str | None, secrets: dict[str, str]) -> dict[str, str]:
    """The variables of its container, with these values in the Secret."""
    found: dict[str, str] = {}
    for source in container(deployment).get("envFrom", []):
        found |= one("ConfigMap", source["configMapRef"]["name"], overlay)["data"]
    for variable in container(deployment).get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            reference = variable["valueFrom"]["secretKeyRef"]
            if reference["key"] in secrets or not reference.get("optional"):
                found[variable["name"]] = secrets[reference["key"]]
    return found
