"""Who may use whom: the arrows between the parts, read from import statements and #include lines."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "python" / "polyglot_gateway"

# What the modules of a part may import from the package besides their own part. The longest prefix decides.
MAY_USE = {
    "errors": set(),
    "arbiter": set(),
    "several_hosts": set(),
    "calls": set(),
    "settings": {
        "errors",
        "_core",
        "settings_apps",
        "settings_processor",
        "settings_redis",
        "settings_tokens",
        "settings_traces",
    },
    "settings_processor": {"settings_apps", "processor.address"},
    "settings_redis": {"settings_apps", "several_hosts"},
    "settings_tokens": {"settings_apps"},
    "settings_traces": set(),
    "settings_apps": {"errors", "_core"},
    "engine": {"errors", "_core", "calls", "several_hosts"},
    "analytics": {"engine.base"},
    "console": set(),
    "loading": {"errors"},
    "processor": {"arbiter", "errors", "_core", "calls", "loading", "engine.preparing"},
    "gateway": {"errors", "_core", "analytics", "console", "engine.base", "processor.base"},
    "realtime": {"errors", "_core", "engine.base", "processor.base"},
    "ops": {"errors", "_core", "calls", "engine.base", "processor.base"},
    "server": {"arbiter", "errors", "_core", "settings", "app", "ops", "gateway.tokens", "engine", "processor"},
    "cli": {
        "errors",
        "_core",
        "settings",
        "settings_apps",
        "settings_traces",
        "server",
        "app",
        "engine.redis_link",
        "ops.logs",
        "ops.spans",
        "processor",
    },
}
NEVER = {"gateway": {"redis", "grpc"}, "realtime": {"redis", "grpc"}, "ops": {"redis", "grpc"}}

CPP_MAY_USE = {"core": {"core"}, "server": {"core", "server"}, "bindings": {"core", "server", "bindings"}}
THIRD_PARTY = {"core": {"simdjson"}, "server": {"boost"}, "bindings": {"pybind11", "Python"}}
KNOWN_THIRD_PARTY = {"simdjson", "boost", "pybind11", "Python"}


def python_modules() -> list[Path]:
    return sorted(PYTHON.rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PYTHON).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def imports_of(path: Path) -> list[str]:
    """Absolute dotted names; `from a import b` gives a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def is_within(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


@pytest.mark.parametrize("path", python_modules(), ids=module_name)
def test_python_imports_follow_the_arrows(path: Path) -> None:
    module = module_name(path)
    part = module.split(".")[0]
    if part in ("", "app"):
        return  # app.py joins everything
    assert part in MAY_USE, f"{part} is a new part: say here what it may use"
    for name in imports_of(path):
        if is_within(name, "polyglot_gateway"):
            inner = name.removeprefix("polyglot_gateway").lstrip(".")
            allowed = {part, *MAY_USE[part]}
            assert any(is_within(inner, other) for other in allowed), f"{module} must not import {name}"
        else:
            assert name.split(".")[0] not in NEVER.get(part, ()), f"{module} must not import {name}"


@pytest.mark.parametrize("path", python_modules(), ids=module_name)
def test_only_modules_named_after_it_import_grpc(path: Path) -> None:
    # The extra of that name need not be installed.
    module = module_name(path)
    for name in imports_of(path):
        if name.split(".")[0] in ("grpc", "grpc_health", "grpc_reflection", "google") or "_pb2" in name:
            assert "grpc" in module, f"{module} must not import {name}"


@pytest.mark.parametrize("path", python_modules(), ids=module_name)
def test_only_modules_named_after_spans_import_opentelemetry(path: Path) -> None:
    # As above, and it costs nothing where there are no spans: these modules are imported when they are asked for.
    module = module_name(path)
    for name in imports_of(path):
        if name.split(".")[0] == "opentelemetry":
            assert module.endswith("spans"), f"{module} must not import {name}"


@pytest.mark.parametrize("path", python_modules(), ids=module_name)
def test_only_settings_reads_the_environment(path: Path) -> None:
    if module_name(path) == "settings":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in ("environ", "environb", "getenv", "getenvb"), f"{path} line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            assert not {"environ", "getenv"} & {alias.name for alias in node.names}, f"{path} line {node.lineno}"


CPP_FILES = sorted(path for part in CPP_MAY_USE for path in (ROOT / "cpp" / part).glob("*.[ch]pp"))


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_includes_follow_the_arrows(path: Path) -> None:
    part = path.parent.name
    for bracket, name in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)', path.read_text(), re.MULTILINE):
        top = re.split(r"[/.]", name)[0]
        if bracket == '"':
            beside = (path.parent / name).exists()
            assert beside or top in CPP_MAY_USE[part], f"{path} must not include {name}"
        elif top in KNOWN_THIRD_PARTY:
            assert top in THIRD_PARTY[part], f"{path} must not include {name}"
