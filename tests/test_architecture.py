"""The shape of the code base: who may import whom, how long a file may be, what importing may do."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("text_uda", "translation_cache") for path in (ROOT / package).rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# A part may reach, through whatever imports, its own line and those above.
LAYERS = [
    {
        "errors",
        "progress",
        "distributed",
        "keyed_random",
        "cache_dir",
        "ranges",
        "lazy_imports",
        "hub_connection",
        "model.checkpoint_identity",
        "model.checkpoint_weights",
        "runs.file_names",
        "model.cuda",
    },
    {"text"},
    {"data", "translate", "generate"},
    {"runs.run_files", "runs.model_files", "runs.decisive_settings", "runs.provenance"},
    {"model", "runs.directory"},  # a pretraining run is an encoder
    {"paraphrasing", "augment"},
    {"objectives", "fusion"},
    {"runs"},
    {"training"},
    {"tasks"},
    {"report"},
    {"experiment"},
    {"cli"},
]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, in full names, but for what only type checkers see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name_of(path).split(".")
            if path.name != "__init__.py":
                package.pop()
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            for alias in node.names:
                submodule = f"{module}.{alias.name}"
                found.add(submodule if submodule in MODULES else module)
    return found


GRAPH = {name: imports(path) & MODULES.keys() - {name} for name, path in MODULES.items()}


def reached_by(module: str) -> set[str]:
    reached, ahead = set[str](), [module]
    while ahead:
        new = GRAPH[ahead.pop()] - reached
        reached |= new
        ahead += new
    return reached


def layer(module: str) -> int | None:
    part = module.partition(".")[2]
    names = (part, part.partition(".")[0])
    return next((height for name in names for height, parts in enumerate(LAYERS) if name in parts), None)


@pytest.mark.parametrize("name", [name for name in MODULES if layer(name) is not None])
def test_imports_go_one_way(name: str) -> None:
    own = layer(name)
    assert own is not None
    assert not {other for other in reached_by(name) if (layer(other) or 0) > own}


def test_imports_make_no_circle() -> None:
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("translation_cache")])
def test_cache_knows_nothing_of_torch_or_text_uda(name: str) -> None:
    foreign = {"text_uda", "torch", "transformers", "datasets", "accelerate"}
    assert not {imported.split(".")[0] for imported in imports(MODULES[name])} & foreign


@pytest.mark.parametrize(
    ("module", "allowed"),
    [("text_uda", set()), ("text_uda.cli", {"pyarrow"}), ("translation_cache", {"pyarrow"})],
)
def test_importing_is_quick(module: str, allowed: set[str]) -> None:
    """`text-uda --help` need not wait for torch, nor the cache for anything but Arrow."""
    heavy = {
        "torch",
        "transformers",
        "datasets",
        "accelerate",
        "nltk",
        "pyarrow",
        "matplotlib",
        "pandas",
        "sklearn",
        "scipy",
    }
    code = f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert module.split(".")[0] in done.stdout.split()
    assert not set(done.stdout.split()) & (heavy - allowed)


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS, *TESTS], ids=name_of)
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS], ids=name_of)
def test_no_file_collects_what_had_no_home(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "helpers", "misc", "base", "shared"}


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS], ids=name_of)
def test_importing_a_file_does_nothing(path: Path) -> None:
    """At the top of a file nothing is called for its effect alone; __main__.py is there to be run."""
    if path.name == "__main__.py":
        return
    effects = (ast.While, ast.With, ast.Delete, ast.AugAssign, ast.Assert, ast.Raise)
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        assert docstring or not isinstance(statement, (ast.Expr, *effects)), ast.unparse(statement)


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.parent.name == "scripts"], ids=name_of)
def test_script_is_thin_and_stands_alone(path: Path) -> None:
    """It imports no other script; a script of several files has the rest of them in a folder."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
    assert not {name.split(".")[0] for name in imports(path)} & {"scripts", *(p.stem for p in SCRIPTS)}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_unpickled(path: Path) -> None:
    """A file from elsewhere can hold data only: no pickle, and no code that comes with a model."""
    assert not imports(path) & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert given.get("trust_remote_code", "False") == given.get("allow_pickle", "False") == "False"
        if ast.unparse(node.func) == "torch.load":
            assert given.get("weights_only") == "True"


POSIX_ONLY = {"fcntl", "grp", "pty", "pwd", "resource", "termios"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_importing_needs_no_posix(path):
    """Where a function needs one of these, it imports it and has another way on Windows."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in top if isinstance(node, ast.ImportFrom) and node.module}
    assert not names & POSIX_ONLY
