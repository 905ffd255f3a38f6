"""Which loaders feed a module, and what the batches are that they give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from lintmetrics.edits import FunctionNode
from lintmetrics.model.batch_parts import (
    UNKNOWN,
    Count,
    Items,
    Listed,
    Opaque,
    Part,
    Plain,
    Reader,
    Rows,
    agreed,
    local_value,
    stored,
)
from lintmetrics.model.tensors import constant
from lintmetrics.model.trainer_calls import TrainerCall, only_class, trainer_calls
from lintmetrics.project import ClassInfo, FunctionInfo, Module, Project
from lintmetrics.tree import own_nodes, subtree

METHODS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}
_TRANSFERS = ("transfer_batch_to_device", "on_before_batch_transfer", "on_after_batch_transfer")
_WIRED = re.compile(r"DataLoader\(|_dataloader\b|\.(?:fit|validate|test)\(")
_GIVEN = re.compile(r"\b\w*dataloaders?\s*=|datamodule|DataModule")
_BATCH_SIZE = re.compile(r"(?:batch_?size|bs|bsz)$", re.I)
_DEPTH = 4
_AS_MANY = -1  # One loader for each of something.


@dataclass(frozen=True)
class Loader:
    """One call that makes a loader.

    Args:
        call: the call; ``module``: its file; ``owner``: the class around it.
    """

    call: ast.Call
    module: Module = field(repr=False)
    owner: ClassInfo | None = None

    def argument(self, name: str, position: int | None = None) -> ast.expr | None:
        """Return an argument, ``None`` where the call has none of that name."""
        for keyword in self.call.keywords:
            if keyword.arg == name:
                return keyword.value
        if position is not None and position < len(self.call.args):
            return self.call.args[position]
        return None

    @property
    def is_open(self) -> bool:
        """Whether the call may have arguments that are not written in it."""
        return any(k.arg is None for k in self.call.keywords) or any(
            isinstance(a, ast.Starred) for a in self.call.args
        )

    @property
    def is_single(self) -> bool:
        """Whether each batch holds one sample."""
        if self.argument("batch_sampler") is not None or self.is_open:
            return False
        size = self.argument("batch_size", 1)
        return size is None or (isinstance(size, ast.Constant) and size.value == 1)

    @property
    def drops_last(self) -> bool:
        """Whether every batch is full, or may be for all that the code shows."""
        flag = self.argument("drop_last", 8)
        if flag is None:
            return self.is_open
        return not (isinstance(flag, ast.Constant) and flag.value is False)

    @property
    def batch(self) -> Part:
        """What one batch is."""
        if self.is_open:
            return UNKNOWN
        size = self.argument("batch_size", 1)
        if isinstance(size, ast.Constant) and size.value is None:
            return UNKNOWN  # The dataset says how large a batch is.
        collate = self.argument("collate_fn", 6)
        dataset = self._dataset()
        if collate is not None and not (
            isinstance(collate, ast.Constant) and collate.value is None
        ):
            sample = Opaque() if dataset is None else sample_of(dataset)
            reader = Reader(self.module, self.owner)
            target = collate
            if isinstance(collate, ast.Attribute) and collate.attr.endswith("collate_fn"):
                held = self._made(collate.value, 0)
                if held is not None:
                    method = held.lookup(collate.attr)
                    return UNKNOWN if method is None else reader.call(method, [Listed(sample)])
            return reader.applied(target, [Listed(sample)])
        if dataset is not None and self.is_single and gives_whole_batches(dataset):
            return _wrapped(sample_of(dataset))
        return UNKNOWN

    def _dataset(self) -> ClassInfo | None:
        first = self.argument("dataset", 0)
        return None if first is None else self._made(first, 0)

    def _made(self, expr: ast.expr, depth: int) -> ClassInfo | None:
        """Return the class of the object that an expression names."""
        if depth > _DEPTH:
            return None
        if isinstance(expr, ast.Call):
            made = self.module.resolve(expr.func)
            if isinstance(made, ClassInfo):
                return made
            name = self.module.qualified(expr.func) or ""
            if name.endswith(("utils.data.Subset", "data.random_split")) and expr.args:
                return self._made(expr.args[0], depth + 1)
            return None
        if isinstance(expr, ast.Name):
            value = local_value(self.module, expr)
            return None if value is None else self._made(value, depth + 1)
        if (
            isinstance(expr, ast.Attribute)
            and isinstance(expr.value, ast.Name)
            and expr.value.id == "self"
            and self.owner is not None
        ):
            kept = stored(self.owner, expr.attr)
            if kept is not None:
                inner = replace(self, module=kept[0].module, owner=kept[0])
                return inner._made(kept[1], depth + 1)
        return None


def sample_of(dataset: ClassInfo) -> Part:
    """Return what one sample of a dataset of the project is."""
    method = dataset.lookup("__getitem__")
    if method is None:
        return Opaque()
    part = Reader(method.module, dataset, Opaque()).function(method.node, [Plain("number")])
    return Opaque() if part == UNKNOWN else part


def gives_whole_batches(dataset: ClassInfo) -> bool:
    """Tell whether the length of a dataset counts batches: it divides by a batch size."""
    length = dataset.lookup("__len__")
    if length is None:
        return False
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, (ast.Div, ast.FloorDiv))
        and _BATCH_SIZE.search(ast.unparse(node.right)) is not None
        for node in own_nodes(length.node)
    )


def _wrapped(sample: Part) -> Part:
    """Return what a loader of single samples makes of a sample that is a batch itself."""
    if isinstance(sample, Items):
        return Items(tuple((key, _wrapped(part)) for key, part in sample.entries))
    if isinstance(sample, Opaque):
        return Rows((Count.FIXED, Count.SAMPLES))
    return UNKNOWN


# Wiring ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Feed:
    """The loaders of one stage of a module.

    Args:
        loaders: the calls; several are alternatives, or, when ``keys`` are given, run together.
        keys: under which the batch of each is found in the combined batch.
        certain: whether the code ties them to the module, and not only nothing speaks against it.
    """

    loaders: tuple[Loader, ...]
    keys: tuple[object, ...] = ()
    certain: bool = True

    @property
    def batch(self) -> Part:
        """What one batch is."""
        if not self.keys:
            return agreed([loader.batch for loader in self.loaders])
        entries: list[tuple[object, Part]] = []
        for place, (key, loader) in enumerate(zip(self.keys, self.loaders, strict=True)):
            collate = loader.argument("collate_fn", 6)
            part: Part = UNKNOWN if collate is not None else Rows((Count.SAMPLES,), loader=place)
            entries.append((key, part))
        return Items(tuple(entries))


def feeds(cls: ClassInfo, stage: str) -> list[Feed]:
    """Return what may feed a stage of a module; empty when the code does not show it."""
    name = METHODS.get(stage)
    if name is None or any(cls.lookup(hook) is not None for hook in _TRANSFERS):
        return []
    if cls.lookup(name) is not None:
        found = _of_method(cls, name)
        return [] if found is None else [found]
    wiring = _wiring(cls.module.project)
    tied = wiring.tied.get((cls, stage))
    if tied is not None:
        return tied if all(feed.loaders for feed in tied) else []
    loose = wiring.loose(stage)
    return [replace(feed, certain=False) for feed in loose]


def own_loaders(cls: ClassInfo, stage: str) -> list[Loader]:
    """Return the loaders that a module makes for a stage by itself."""
    name = METHODS.get(stage, "")
    if cls.lookup(name) is None:
        return []
    found = _of_method(cls, name)
    return [] if found is None else list(found.loaders)


def how_many(cls: ClassInfo, stage: str) -> int:
    """Return how many dataloaders a stage of a module runs one after another; 0 when unknown."""
    name = METHODS.get(stage, "")
    if cls.lookup(name) is not None:
        return max(0, _returned_by(cls, name))
    counts = set(_wiring(cls.module.project).counts.get((cls, stage), ()))
    return max(0, counts.pop()) if len(counts) == 1 else 0


def are_several(cls: ClassInfo, stage: str) -> bool:
    """Tell whether a stage of a module runs a list of dataloaders, however many they are."""
    name = METHODS.get(stage, "")
    if cls.lookup(name) is not None:
        return _is_several(_returned_by(cls, name))
    counts = _wiring(cls.module.project).counts.get((cls, stage), ())
    return bool(counts) and all(_is_several(count) for count in counts)


def is_one(cls: ClassInfo, stage: str) -> bool:
    """Tell whether a stage of a module surely runs the one dataloader that the module returns."""
    name = METHODS.get(stage, "")
    if cls.lookup(name) is None or how_many(cls, stage) != 1:
        return False
    # A Trainer may be given others, and a subclass may have its own.
    if any(name in other.namespace for other in cls.subclasses):
        return False
    project = cls.module.project
    given = any(len(call.node.args) > 1 for call in trainer_calls(project))
    return not given and not project.mentioning(_GIVEN)


def _is_several(count: int) -> bool:
    return count == _AS_MANY or count > 1


def _returned_by(cls: ClassInfo, name: str) -> int:
    """Return how many dataloaders a ``*_dataloader`` method returns; 0 when unknown.

    ``_AS_MANY`` for a list that has one for each of something.
    """
    info = cls.lookup(name)
    if info is None:
        return 0
    values = [n.value for n in own_nodes(info.node) if isinstance(n, ast.Return)]
    counts = {_counted(value, info.module, cls, 0) for value in values}
    return counts.pop() if len(counts) == 1 else 0


def _counted(expr: ast.expr | None, module: Module, owner: ClassInfo | None, depth: int) -> int:
    """Return how many dataloaders an expression stands for; 0 when unknown."""
    if isinstance(expr, ast.ListComp) and len(expr.generators) == 1:
        return _iterated(expr.generators[0], module, owner)
    if isinstance(expr, ast.Name) and _is_filled_in_loop(module, expr):
        return _AS_MANY
    if isinstance(expr, (ast.List, ast.Tuple)):
        return 0 if any(isinstance(e, ast.Starred) for e in expr.elts) else len(expr.elts)
    if isinstance(expr, ast.Dict):
        return 0 if None in expr.keys else len(expr.keys)
    if isinstance(expr, ast.Name) and depth < _DEPTH:
        return _counted(local_value(module, expr), module, owner, depth + 1)
    if expr is None:
        return 0
    feed = _read(expr, module, owner, depth)
    # Several without keys are alternatives, of which one is taken.
    return 0 if feed is None or not feed.loaders else len(feed.keys) or 1


def _iterated(loop: ast.comprehension, module: Module, owner: ClassInfo | None) -> int:
    """Return how often a comprehension goes round; ``_AS_MANY`` when that is not written down."""
    source: ast.expr | None = loop.iter
    if isinstance(source, ast.Name):
        source = local_value(module, source)
    elif (
        isinstance(source, ast.Attribute)
        and isinstance(source.value, ast.Name)
        and source.value.id == "self"
        and owner is not None
    ):
        kept = stored(owner, source.attr)
        source = None if kept is None else kept[1]
    if not isinstance(source, (ast.List, ast.Tuple)) or loop.ifs:
        return _AS_MANY
    starred = any(isinstance(item, ast.Starred) for item in source.elts)
    return _AS_MANY if starred else len(source.elts)


def _is_filled_in_loop(module: Module, name: ast.Name) -> bool:
    """Tell whether a name is an empty list to which a loop appends."""
    function = module.enclosing_function(name)
    empty = local_value(module, name)
    if function is None or not isinstance(empty, ast.List) or empty.elts:
        return False
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "append"
        and isinstance(node.value, ast.Name)
        and node.value.id == name.id
        and any(isinstance(above, (ast.For, ast.AsyncFor)) for above in module.ancestors(node))
        for node in own_nodes(function)
    )


def _of_method(cls: ClassInfo, name: str) -> Feed | None:
    """Return the loaders that a ``*_dataloader`` method returns."""
    if any(cls.lookup(hook) is not None for hook in _TRANSFERS):
        return None
    info = cls.lookup(name)
    if info is None:
        return None
    values = [n.value for n in own_nodes(info.node) if isinstance(n, ast.Return)]
    if not values or any(value is None for value in values):
        return None
    found = [_read(value, info.module, cls, 0) for value in values if value is not None]
    plain: list[Loader] = []
    for feed in found:
        if feed is None or (feed.keys and len(found) > 1):
            return None
        plain.extend(feed.loaders)
    first = found[0]
    if first is not None and first.keys:
        # Validation and test run several loaders one after another.
        return first if name == "train_dataloader" else Feed(first.loaders)
    return Feed(tuple(plain))


def _read(expr: ast.expr, module: Module, owner: ClassInfo | None, depth: int) -> Feed | None:
    """Return the loaders that an expression makes."""
    if depth > _DEPTH:
        return None
    if isinstance(expr, ast.Name):
        value = local_value(module, expr)
        if value is None:
            return _unpacked(expr, module, owner, depth)
        return _read(value, module, owner, depth + 1)
    if isinstance(expr, ast.Attribute) and owner is not None:
        if not (isinstance(expr.value, ast.Name) and expr.value.id == "self"):
            return None
        kept = stored(owner, expr.attr)
        return None if kept is None else _read(kept[1], kept[0].module, owner, depth + 1)
    if isinstance(expr, (ast.List, ast.Tuple, ast.Dict)):
        values = expr.values if isinstance(expr, ast.Dict) else expr.elts
        keys: list[object] = list(range(len(values)))
        if isinstance(expr, ast.Dict):
            keys = [... if k is None else constant(module, k) for k in expr.keys]
        made = [_read(value, module, owner, depth + 1) for value in values]
        if not values or any(key is ... for key in keys):
            return None
        if any(feed is None or feed.keys or len(feed.loaders) != 1 for feed in made):
            return None
        return Feed(tuple(feed.loaders[0] for feed in made if feed is not None), tuple(keys))
    if not isinstance(expr, ast.Call):
        return None
    dotted = module.qualified(expr.func) or ""
    name = dotted.rpartition(".")[2]
    if name == "DataLoader" and dotted.startswith("torch.utils.data."):
        return Feed((Loader(expr, module, owner),))
    if name == "CombinedLoader" and expr.args:
        mode = expr.args[1] if len(expr.args) > 1 else None
        mode = next((k.value for k in expr.keywords if k.arg == "mode"), mode)
        if mode is None or constant(module, mode) not in ("sequential", ...):
            return _read(expr.args[0], module, owner, depth + 1)
        return None
    helper = _helper(expr, module, owner)
    if helper is None:
        return None
    info, holder = helper
    values_ = [n.value for n in own_nodes(info.node) if isinstance(n, ast.Return)]
    return _alternatives(values_, info.module, holder, depth)


def _helper(
    call: ast.Call, module: Module, owner: ClassInfo | None
) -> tuple[FunctionInfo, ClassInfo | None] | None:
    """Return the function or method of the project that is called, and what its ``self`` is."""
    target = call.func
    if (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    ):
        info = None if owner is None else owner.lookup(target.attr)
        return None if info is None else (info, owner)
    found = module.resolve(target)
    if not isinstance(found, FunctionInfo) or found.node.decorator_list:
        return None
    if any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in own_nodes(found.node)):
        return None
    return found, None


def _alternatives(
    values: Sequence[ast.expr | None], module: Module, owner: ClassInfo | None, depth: int
) -> Feed | None:
    """Return the loaders of a function that returns one of several values."""
    found = [_read(value, module, owner, depth + 1) for value in values if value is not None]
    if len(found) == 1:
        return found[0]
    if found and all(feed is not None and not feed.keys for feed in found):
        return Feed(tuple(x for feed in found if feed is not None for x in feed.loaders))
    return None


def _unpacked(name: ast.Name, module: Module, owner: ClassInfo | None, depth: int) -> Feed | None:
    """Return the loaders of a name that a tuple of them is unpacked to."""
    scope = module.scope_of(module.enclosing_function(name) or module.tree)
    if name.id not in scope:
        scope = module.scope_of(module.tree)
    statement = scope.get(name.id)
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
        return None
    target, value = statement.targets[0], statement.value
    if not isinstance(target, (ast.Tuple, ast.List)):
        return None
    names = [e.id if isinstance(e, ast.Name) else None for e in target.elts]
    around = module.enclosing_function(statement) or module.tree
    stores = [
        n
        for n in subtree(around)
        if isinstance(n, ast.Name) and n.id == name.id and isinstance(n.ctx, ast.Store)
    ]
    if None in names or len(stores) != 1:
        return None
    values: list[ast.expr | None] = [value]
    if isinstance(value, ast.Call):
        helper = _helper(value, module, owner)
        if helper is None:
            return None
        info, owner = helper
        module = info.module
        values = [n.value for n in own_nodes(info.node) if isinstance(n, ast.Return)]
    place, picked = names.index(name.id), []
    for made in values:
        if not isinstance(made, (ast.Tuple, ast.List)) or len(made.elts) != len(names):
            return None
        if any(isinstance(e, ast.Starred) for e in made.elts):
            return None
        picked.append(made.elts[place])
    return _alternatives(picked, module, owner, depth)


class _Wiring:
    """Everything in a project that makes loaders or hands them to a trainer."""

    def __init__(self, project: Project) -> None:
        self.tied: dict[tuple[ClassInfo, str], list[Feed]] = {}
        self.counts: dict[tuple[ClassInfo, str], list[int]] = {}
        self._loose: dict[str, list[Feed]] = {}
        self._modules = project.mentioning(_WIRED)
        for call in trainer_calls(project):
            if call.cls is not None and call.cls.is_lightning:
                self._trainer_call(call, call.cls)

    def _trainer_call(self, called: TrainerCall, cls: ClassInfo) -> None:
        module, call, kind = called.module, called.node, called.kind
        named = {k.arg: k.value for k in call.keywords if k.arg}
        given = list(call.args)
        data = named.get("datamodule")
        if kind == "fit":
            train = named.get("train_dataloaders") or named.get("train_dataloader")
            train = train or (given[1] if len(given) > 1 else None)
            val = named.get("val_dataloaders") or (given[2] if len(given) > 2 else None)
            stages = {"train": train, "val": val}
        else:
            one = named.get("dataloaders") or named.get("test_dataloaders")
            stages = {"val" if kind == "validate" else "test": one or _second(given)}
        for stage, expr in stages.items():
            source = data or expr or (stages.get("train") if stage == "val" else None)
            if source is None:
                continue
            held = only_class(module, source)
            feed: Feed | None = None
            count = 0
            if held is not None and held.is_kind("LightningDataModule"):
                feed = _of_method(held, METHODS[stage])
                count = _returned_by(held, METHODS[stage])
            elif expr is not None:
                count = _counted(expr, module, module.enclosing_class(call), 0)
                feed = _read(expr, module, module.enclosing_class(call), 0)
                if feed is not None and feed.keys and stage != "train":
                    feed = Feed(feed.loaders)
            self.tied.setdefault((cls, stage), []).append(feed or Feed(()))
            self.counts.setdefault((cls, stage), []).append(count)

    def loose(self, stage: str) -> list[Feed]:
        """Return the loaders of all data modules, if nothing else in the project makes any."""
        if stage not in self._loose:
            self._loose[stage] = self._all_loose(stage)
        return self._loose[stage]

    def _all_loose(self, stage: str) -> list[Feed]:
        found: list[Feed] = []
        inside: set[ast.Call] = set()
        for module in self._modules:
            for cls in module.classes:
                if not cls.is_kind("LightningDataModule"):
                    continue
                for method in METHODS.values():
                    feed = _of_method(cls, method) if cls.lookup(method) is not None else None
                    if feed is not None:
                        inside.update(loader.call for loader in feed.loaders)
                    if cls.lookup(method) is not None and method == METHODS[stage]:
                        if feed is None:
                            return []
                        found.append(feed)
        for module in self._modules:
            for call in _loader_calls(module, module.tree):
                owner = module.enclosing_class(call)
                if call not in inside and not (owner is not None and owner.is_lightning):
                    return []
        return found


def _second(arguments: list[ast.expr]) -> ast.expr | None:
    return arguments[1] if len(arguments) > 1 else None


def _wiring(project: Project) -> _Wiring:
    known = project.__dict__.get("_lm_wiring")
    if not isinstance(known, _Wiring):
        known = project.__dict__["_lm_wiring"] = _Wiring(project)
    return known


def _loader_calls(module: Module, node: ast.AST) -> Iterator[ast.Call]:
    for inner in subtree(node):
        if isinstance(inner, ast.Call) and (module.qualified(inner.func) or "").endswith(
            ".DataLoader"
        ):
            yield inner


def called_in(module: Module, function: FunctionNode) -> list[Loader]:
    """Return every loader that a function makes."""
    return [Loader(call, module) for call in _loader_calls(module, function)]


def is_wrapped(part: Part) -> bool:
    """Tell whether a part is a whole batch to which a loader added one more dimension."""
    return isinstance(part, Rows) and part.counts == (Count.FIXED, Count.SAMPLES)
