"""Which of a package's code a function is made of, found in its syntax trees: nothing is imported.

The unit is what stands at the top level of a module under a name: a function, a class, a constant. A unit needs every
unit that its names may mean, over-approximated: scopes are not told apart, a class is all of its methods, annotations
count (they name the classes whose methods are called on an argument), and so do imports within functions and under
``TYPE_CHECKING``. A module that is handed around as an object counts whole. Files that are no code, such as templates,
belong to all modules of the package that they lie in. What this cannot see: names that are only made at run time, such
as ``getattr(module, text)`` on a module found by ``importlib``.
"""

import ast
import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Unit = tuple[str, str]
"""Module and top-level name; the name "" stands for the module's statements that define nothing."""
Chain = tuple[str, ...]
"""The names of ``a.b.c`` in order."""

EFFECTS = ""
NO_NAME = ""
"""Of ``a.b`` in ``import a.b``, which is imported, but stands under ``a``."""

_WITHOUT_IMPORTS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Expr)
"""Statements that import nothing when the module is imported, as far as they are not worth a look."""


@dataclass
class _Module:
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, list[Chain]] = field(default_factory=dict)
    """Target of each imported name: the module's name and, for ``from module import name``, that name."""
    stars: list[str] = field(default_factory=list)
    effects: list[ast.stmt] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        return {*self.definitions, *self.imports}


class Sources:
    """The source of a package as it was when this was made; ``folder`` is the package's, and has its name."""

    def __init__(self, folder: Path):
        self._package = folder.name
        self._texts: dict[str, tuple[bytes, bool]] = {}
        for file in sorted(folder.rglob("*.py")):
            parts = (self._package, *file.relative_to(folder).with_suffix("").parts)
            is_package = parts[-1] == "__init__"
            self._texts[".".join(parts[:-1] if is_package else parts)] = file.read_bytes(), is_package
        self._data: dict[str, dict[str, str]] = {}
        for file in _data_files(folder):
            owner = next(parent for parent in file.parents if parent == folder or (parent / "__init__.py").exists())
            name = ".".join((self._package, *owner.relative_to(folder).parts))
            path = file.relative_to(folder.parent).as_posix()
            self._data.setdefault(name, {})[path] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        self._modules: dict[str, _Module] = {}
        self._needed: dict[Unit, set[Unit]] = {}
        self._reached: dict[str, set[Unit]] = {}
        self._imported: dict[str, set[str]] = {}
        self._effects_of: dict[str, set[Unit]] = {}
        self._hashes: dict[Unit, str] = {}

    def fingerprints(self, roots: Iterable[str]) -> dict[str, str]:
        """Hash what ``roots`` (each ``package.module:name``) are made of, by module, and by path the files beside it.

        Comments, docstrings and layout do not count. A root outside of the package has no code here; a name that its
        module does not define at the top level stands for the whole module.
        """
        units = set().union(*(self._reach(root) for root in set(roots)))
        by_module: dict[str, list[str]] = {}
        for unit in sorted(units):
            by_module.setdefault(unit[0], []).append(f"{unit[1]} {self._hash(unit)}")
        code = {
            module: hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:16] for module, hashes in by_module.items()
        }
        packages = sorted({self._package_of(module) for module in code})
        return code | {path: digest for name in packages for path, digest in self._data.get(name, {}).items()}

    def used_attributes(self, function: str, argument: str) -> set[str] | None:
        """Name the attributes that ``function`` (``package.module:name``) takes from one of its arguments.

        None where the argument is also used in another way, or the function is not found, so that it may use all.
        """
        module, _, name = function.partition(":")
        if module not in self._texts:
            return None
        statements = self._module(module).definitions.get(name, [])
        if len(statements) != 1 or not isinstance(statements[0], ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        used: set[str] = set()
        rebound = {node.id for node in ast.walk(statements[0]) if isinstance(node, ast.Name) and _is_bound(node)}
        for chain in _names(statements[0].body, "")[0]:
            if chain[0] == argument:
                if len(chain) == 1 or argument in rebound:
                    return None
                used.add(chain[1])
        return used

    def _reach(self, root: str) -> set[Unit]:
        """Return all units that a root needs, directly or through others."""
        if root not in self._reached:
            self._reached[root] = reached = set[Unit]()
            waiting = self._units_of_root(root)
            while waiting:
                reached |= waiting
                waiting = set().union(*(self._needs(unit) for unit in waiting)) - reached
        return self._reached[root]

    def _units_of_root(self, root: str) -> set[Unit]:
        module, _, name = root.partition(":")
        if module not in self._texts:
            return set()
        if name in self._module(module).names:
            return self._means((module, name)) | self._effects(module)
        return self._whole(module)

    def _module(self, name: str) -> _Module:
        if name not in self._modules:
            tree = ast.parse(self._texts[name][0])
            _strip_texts(tree)
            self._modules[name] = _read(tree, self._package_of(name))
        return self._modules[name]

    def _hash(self, unit: Unit) -> str:
        if unit not in self._hashes:
            dumped = "\n".join(ast.dump(statement) for statement in self._statements(unit))
            self._hashes[unit] = hashlib.sha256(dumped.encode()).hexdigest()
        return self._hashes[unit]

    def _statements(self, unit: Unit) -> list[ast.stmt]:
        module = self._module(unit[0])
        return module.effects if unit[1] == EFFECTS else module.definitions[unit[1]]

    def _needs(self, unit: Unit) -> set[Unit]:
        if unit not in self._needed:
            module = self._module(unit[0])
            chains, imported = _names(self._statements(unit), self._package_of(unit[0]))
            own_imports: dict[str, list[Chain]] = {}
            stars = list(module.stars)
            needed = set(self._effects(unit[0]))
            for name, target in imported:
                needed |= self._effects_of_target(target)
                if name == "*":
                    stars.append(target[0])
                else:
                    own_imports.setdefault(name, []).append(target)
            for star in stars:
                needed |= self._whole(star)
            for chain in chains:
                if chain[0] in module.definitions:
                    needed.add((unit[0], chain[0]))
                for target in (*module.imports.get(chain[0], ()), *own_imports.get(chain[0], ())):
                    needed |= self._means((*target, *chain[1:]))
            self._needed[unit] = needed - {unit}
        return self._needed[unit]

    def _means(self, chain: Chain) -> set[Unit]:
        """Resolve a module's name followed by attributes to units."""
        module, *attributes = chain
        if module not in self._texts:
            return set()
        needed = set(self._effects(module))
        if not attributes:
            return needed | self._whole(module)
        name, rest = attributes[0], tuple(attributes[1:])
        needed |= self._means((f"{module}.{name}", *rest))
        found = self._module(module)
        if name in found.definitions:
            needed.add((module, name))
        for target in found.imports.get(name, []):
            if target != (module, name):
                needed |= self._means((*target, *rest))
        if name not in found.names:
            for star in found.stars:
                needed |= self._means((star, name, *rest))
        return needed

    def _whole(self, module: str) -> set[Unit]:
        if module not in self._texts:
            return set()
        return {(module, name) for name in self._module(module).definitions} | self._effects(module)

    def _effects(self, module: str) -> set[Unit]:
        """Name the statements without a name that run when a module is imported: its own, and of all it imports."""
        if module not in self._effects_of:
            found, waiting = {module}, [module]
            while waiting:
                new = self._imports_of(waiting.pop()) - found
                found |= new
                waiting.extend(new)
            self._effects_of[module] = {(name, EFFECTS) for name in found if self._module(name).effects}
        return self._effects_of[module]

    def _imports_of(self, module: str) -> set[str]:
        if module not in self._imported:
            found = self._module(module)
            targets = {(module,), *((star,) for star in found.stars), *itertools.chain(*found.imports.values())}
            names = {name for target in targets for name in _with_packages(".".join(target))}
            self._imported[module] = names & self._texts.keys()
        return self._imported[module]

    def _effects_of_target(self, target: Chain) -> set[Unit]:
        modules = [name for name in _with_packages(".".join(target)) if name in self._texts]
        return set().union(*(self._effects(name) for name in modules))

    def _package_of(self, module: str) -> str:
        return module if self._texts[module][1] else module.rpartition(".")[0]


def _data_files(folder: Path) -> list[Path]:
    """List the files that are no code, in order, without hidden ones and what Python has compiled."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and file.suffix != ".py"
        and not any(part.startswith(".") or part == "__pycache__" for part in file.relative_to(folder).parts)
    )


def _with_packages(dotted: str) -> list[str]:
    """Name everything that importing a dotted name may import: ``a``, ``a.b``, ``a.b.c``."""
    parts = dotted.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _strip_texts(node: ast.AST) -> None:
    """Remove docstrings and other statements that are only text, in place."""
    for name in ("body", "orelse", "finalbody", "handlers"):
        statements = getattr(node, name, None)
        if isinstance(statements, list):
            kept = [statement for statement in statements if not _is_text(statement)]
            setattr(node, name, kept)
            for statement in kept:
                _strip_texts(statement)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _read(tree: ast.Module, package: str) -> _Module:
    """Sort a module's statements by the names that they define."""
    module = _Module()
    for statements in _branches(tree.body):
        statement = statements[0]
        imported = [] if isinstance(statement, _WITHOUT_IMPORTS) else _names([statement], package)[1]
        for name, target in imported:
            if name == "*":
                module.stars.append(target[0])
            else:
                module.imports.setdefault(name, []).append(target)
        defined = _defined(statement)
        for name in defined:
            module.definitions.setdefault(name, []).extend(statements)
        if not defined and not imported and not isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
            module.effects.extend(statements)
    return module


def _branches(statements: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield each statement, those under ``if`` one by one, each with the conditions that it stands under."""
    for statement in statements:
        if isinstance(statement, ast.If):
            for branch in _branches(statement.body + statement.orelse):
                yield [*branch, ast.Expr(statement.test)]
        else:
            yield [statement]


def _defined(statement: ast.stmt) -> set[str]:
    """Name what a top-level statement binds, or whose content it changes; within ``if`` and ``try`` as well."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    nested = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
    for handler in getattr(statement, "handlers", []):
        nested.extend(handler.body)
    if nested:
        return set().union(*(_defined(child) for child in nested))
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    within = [node for target in targets if target is not None for node in ast.walk(target)]
    return {node.id for node in within if isinstance(node, ast.Name)}


def _names(statements: Iterable[ast.AST], package: str) -> tuple[set[Chain], list[tuple[str, Chain]]]:
    """Return every name that statements look up, with the attributes taken from it, and each that they import.

    The second are pairs of a name and what it means. Annotations that are text are read too.
    """
    chains: set[Chain] = set()
    imported: list[tuple[str, Chain]] = []
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            if not _is_bound(node):
                chains.add((node.id, *reversed(attributes)))
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported.extend(_imports(node, package))
            continue
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                waiting.extend(inner for inner in value if isinstance(inner, ast.AST))
            elif isinstance(value, ast.AST):
                waiting.append(value)
                if name in ("annotation", "returns"):
                    waiting.extend(_text_annotations(value))
    return chains, imported


def _imports(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Chain]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, (alias.name,)) if alias.asname else (top, (top,))
            yield NO_NAME, (alias.name,)
        return
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1] if node.level else []
    module = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        yield alias.asname or alias.name, (module,) if alias.name == "*" else (module, alias.name)


def _is_bound(name: ast.Name) -> bool:
    return not isinstance(name.ctx, ast.Load)


def _text_annotations(annotation: ast.AST) -> Iterator[ast.AST]:
    for part in ast.walk(annotation):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            with contextlib.suppress(SyntaxError):
                yield ast.parse(part.value, mode="eval")
