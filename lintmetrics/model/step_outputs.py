"""Where the outputs of steps are collected: the list, what fills it, and how it is read.

One class of a hierarchy holds the list and fills it: the topmost one whose epoch-end hook reads
the outputs. Subclasses inherit both, whatever their own steps return.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cached_property

from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.kept_answers import kept
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    TRAINING,
    Stage,
    calls_super,
    company,
    extra_parameters,
    family,
    is_generator,
    item_is_flat,
    loads,
    never_falls_off,
    own_epoch_end,
    rebinds,
    references,
    returns,
)
from lintmetrics.model.step_ends import called_in_step, own_step_ends, write_step_end
from lintmetrics.project import ClassInfo
from lintmetrics.tree import own_nodes, subtree

_PLAIN_DECORATORS = ("no_grad", "inference_mode", "enable_grad", "override", "profile")
_LIST_DISPLAYS = (ast.List, ast.ListComp)


class Collector:
    """The list of step outputs of one stage of a class, and what fills it.

    Args:
        root: the class that holds it.
        stage: the stage whose steps fill it.
        sharing: other stages whose hooks are aliases of this one's and read the same list.
        delegated: a stage whose step does nothing but call this one's.
    """

    def __init__(
        self,
        root: ClassInfo,
        stage: Stage,
        sharing: tuple[Stage, ...] = (),
        delegated: Stage | None = None,
    ) -> None:
        self.root = root
        self.stage = stage
        self.sharing = sharing
        self.delegated = delegated

    @property
    def attribute(self) -> str:
        """How a method names the list."""
        return f"self.{self.stage.outputs}"

    # What is there already --------------------------------------------------------------------

    @cached_property
    def _made(self) -> list[ast.expr]:
        """Values that the classes above already assign to the attribute."""
        return [
            value for cls in self.root.mro() for value in attribute_values(cls, self.stage.outputs)
        ]

    @property
    def is_property(self) -> bool:
        """Whether a class above gives the attribute as a property."""
        return any(self.stage.outputs in cls.methods for cls in self.root.mro())

    @cached_property
    def exists(self) -> bool:
        """Whether the class already has the list and fills it."""
        if not self._made and not self.is_property:
            return False
        filled = any(
            _is_filled(method, self.stage.outputs)
            for cls in self.root.mro()
            for name, method in cls.methods.items()
            if "epoch_end" not in name
            and (seen := self.root.lookup(name)) is not None
            and (seen.node is method or calls_super(seen.node, name))
        )
        if not all(is_empty_list(value) for value in self._made):
            raise CannotEdit(
                f"{self.attribute} is already something else than an empty list in "
                f"{self.root.node.name}"
            )
        return filled

    # Which form -------------------------------------------------------------------------------

    @cached_property
    def _steps(self) -> list[FunctionNode]:
        stages = (self.stage, *self.sharing)
        return [
            found.node
            for cls in family(self.root)
            for stage in stages
            if (found := cls.own(stage.step)) is not None
        ]

    @cached_property
    def several(self) -> bool:
        """Whether there may be several dataloaders, which made ``outputs`` a list of lists."""
        if self.stage is TRAINING or self.exists:
            return False
        if not any(dataloader_parameter(step) for step in self._steps):
            own = self.root.methods.get(self.stage.batch_end)
            if self._steps or own is None:
                return self._any_signature and not self._all_flat
        return not self._all_flat

    @property
    def _any_signature(self) -> bool:
        return not self._steps or any(step.args.vararg or step.args.kwarg for step in self._steps)

    @cached_property
    def _all_flat(self) -> bool:
        for cls in family(self.root):
            for name, stage in STAGE_OF_HOOK.items():
                if stage is not self.stage:
                    continue
                end = own_epoch_end(cls, name)
                if end is None or end.parameter is None:
                    continue
                if not loads(end.function, end.parameter):
                    continue
                if not item_is_flat(cls, end.function, end.parameter):
                    return False
        return True

    @cached_property
    def in_step(self) -> bool:
        """Whether the step itself can fill the list, and nothing else would fill it with it."""
        step = self.root.methods.get(self.stage.step)
        if not isinstance(step, ast.FunctionDef) or is_generator(step):
            return False
        if any(_decorator(d) not in _PLAIN_DECORATORS for d in step.decorator_list):
            return False
        names = {self.stage.step, *(stage.step for stage in self.sharing)}
        above = self.root.mro()
        for cls in company(self.root):
            if any(stage.step_end in cls.namespace for stage in (self.stage, *self.sharing)):
                return False
            below = cls not in above
            if below and names.intersection(cls.namespace):
                return False
            for name, value in cls.assigned.items():
                shared = any(name == stage.step for stage in self.sharing)
                if isinstance(value, ast.Name) and value.id == self.stage.step and not shared:
                    return False
        for stage in self.sharing:
            if stage is self.delegated:
                continue
            alias = self.root.assigned.get(stage.step)
            if not (isinstance(alias, ast.Name) and alias.id == self.stage.step):
                return False
        if not self._only_lightning_calls():
            return False
        if self.several:
            return False
        found = [node for node in returns(step) if not is_none(node.value)]
        if not 1 <= len(found) <= 3:
            return False
        if not all(self._stored(step, node) for node in found):
            return False
        trial = Editor()
        try:
            self._write_in_step(trial)
        except CannotEdit:
            return False
        return True

    def _only_lightning_calls(self) -> bool:
        """Tell whether nobody but Lightning calls the step."""
        relatives = set(family(self.root))
        for reference in references(self.root.module.project, self.stage.step):
            if reference.receiver == "other":
                if reference.module is self.root.module or (
                    self.root.node.name in reference.module.source.text
                ):
                    return False
            elif reference.cls in relatives or reference.owner in relatives:
                if (
                    self.delegated is not None
                    and reference.cls is self.root
                    and reference.function is self.root.methods.get(self.delegated.step)
                ):
                    continue
                return False
        return True

    def _stored(self, step: FunctionNode, node: ast.Return) -> str | None:
        """Return what to append for one return, ``None`` when it cannot be told.

        ``{}`` stands for the name of the value.
        """
        value = node.value
        assert value is not None
        if may_be_none(self.root, step, value):
            return None
        if self.stage is not TRAINING:
            return "{}"
        if isinstance(value, ast.Dict) and len(value.keys) == 1:
            key, item = value.keys[0], value.values[0]
            if isinstance(key, ast.Constant) and key.value == "loss" and isinstance(item, ast.Name):
                return f'{{{{"loss": {item.id}.detach()}}}}'
        if is_mapping(step, value):
            return "{{k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in {}.items()}}"
        if is_tensor(self.root, step, value):
            return '{{"loss": {}.detach()}}'
        return None

    @property
    def needs_torch(self) -> bool:
        """Whether what fills the list names ``torch``."""
        if self.exists or self.stage is not TRAINING:
            return False
        if not self.in_step:
            return True
        step = self.root.methods[self.stage.step]
        return any(
            "torch." in (self._stored(step, node) or "")
            for node in returns(step)
            if not is_none(node.value)
        )

    # Writing ----------------------------------------------------------------------------------

    def reading(self, name: str, clear: bool) -> list[str]:
        """Return the lines that give a hook its outputs under a name, as Lightning 1 gave them."""
        emptied = [f"{self.attribute}.clear()"] if clear else []
        return [f"{name} = list({self.attribute})", *emptied]

    def write(self, editor: Editor) -> None:
        """Plan the list and what fills it."""
        if self.exists:
            return
        root = self.root
        if not root.is_kind("LightningModule") and not root.is_lightning:
            raise CannotEdit(f"{root.node.name} is no LightningModule")
        if not root.is_kind("LightningModule") and not _has_outside_base(root):
            raise CannotEdit(
                f"{root.node.name} at {root.module.source.path}:{root.node.lineno} is a mixin, "
                "whose __init__ may never run; give the classes that take it in the list"
            )
        if self.is_property and self.several:
            raise CannotEdit(
                f"{self.attribute} is a property, and what it gives for several dataloaders "
                "cannot be told; append to it in the steps"
            )
        if not self._made and not self.is_property:
            editor.insert_in_init(root.module, root.node, [f"{self.attribute} = []"])
        if self.in_step:
            self._write_in_step(editor)
        else:
            self._write_hook(editor)

    def _append(self, value: str) -> list[str]:
        if len(value) > 60:
            return [f"{self.attribute}.append(", f"    {value}", ")"]
        return [f"{self.attribute}.append({value})"]

    def _write_in_step(self, editor: Editor) -> None:
        root, module = self.root, self.root.module
        step = root.methods[self.stage.step]
        local = "output"
        if loads(step, local) or rebinds(step, local):
            local = "step_output"
        for node in returns(step):
            value = node.value
            if value is None or is_none(value):
                continue
            form = self._stored(step, node)
            assert form is not None
            if isinstance(value, ast.Name):
                editor.insert_before(module, node, self._append(form.format(value.id)))
                continue
            start = module.source.start(node)
            editor.replace_range(module, start, start + len("return"), f"{local} =")
            editor.insert_after(
                module, node, [*self._append(form.format(local)), f"return {local}"]
            )

    def _write_hook(self, editor: Editor) -> None:
        root, module, stage = self.root, self.root.module, self.stage
        for cls in family(root):
            for before in own_step_ends(cls):
                if before.stage is not stage:
                    continue
                if not called_in_step(before):
                    raise CannotEdit(
                        f"{before.spelled} at {cls.module.source.path}:{before.function.lineno} "
                        "still has a say in the outputs; move it first"
                    )
                write_step_end(editor, before)
        if self.sharing and self.several:
            raise CannotEdit(
                f"{root.node.name} ends two stages with one method, and each may have several "
                "dataloaders; give each stage a method of its own first"
            )
        for other in self.sharing:
            if any(other.batch_end in below.namespace for below in root.subclasses):
                raise CannotEdit(f"a subclass of {root.node.name} has a {other.batch_end}")
        for below in root.subclasses:
            function = below.methods.get(stage.batch_end)
            if function is None or calls_super(function, stage.batch_end):
                continue
            between = below.mro()[1 : below.mro().index(root)] if root in below.mro() else []
            given = [*function.args.posonlyargs, *function.args.args][1:]
            if len(given) < 3 or any(cls.own(stage.batch_end) for cls in (*between, *root.mro())):
                raise CannotEdit(
                    f"{below.node.name}.{stage.batch_end} at {below.module.source.path}:"
                    f"{function.lineno} does not call super(), so nothing would collect the "
                    "outputs there"
                )
            count = 3 if stage is TRAINING else 4
            names = ", ".join(argument.arg for argument in given[:count])
            editor.insert_at_body_start(
                below.module, function, [f"super().{stage.batch_end}({names})"]
            )
        own = root.methods.get(stage.batch_end)
        if own is not None:
            self._merge_hook(editor, own)
            return
        if stage.batch_end in root.namespace:
            raise CannotEdit(f"{root.node.name}.{stage.batch_end} is no method")
        lines = self._collecting("outputs", "dataloader_idx")
        above = next((found for cls in root.mro()[1:] if (found := cls.own(stage.batch_end))), None)
        if above is not None:
            lines.append(_super_call(above.node, stage))
        signature = "self, outputs, batch, batch_idx"
        if stage is not TRAINING:
            signature += ", dataloader_idx=0"
        end = next(
            own_end
            for name, of in STAGE_OF_HOOK.items()
            if of is stage and (own_end := own_epoch_end(root, name)) is not None
        )
        text = [f"def {stage.batch_end}({signature}):", *(f"    {line}" for line in lines)]
        for other in self.sharing:
            if other.batch_end in root.namespace:
                raise CannotEdit(f"{root.node.name} already has a {other.batch_end}")
            text += ["", f"{other.batch_end} = {stage.batch_end}"]
        place = end.alias or end.function
        editor.add_method(module, root.node, text, before=place)

    def _collecting(self, outputs: str, index: str) -> list[str]:
        if self.stage is TRAINING:
            # Lightning 1 skipped steps without a result, which arrive here as an empty mapping.
            detached = (
                f"{{k: v.detach() if isinstance(v, torch.Tensor) else v "
                f"for k, v in {outputs}.items()}}"
            )
            return [
                f"if {outputs}:",
                f"    {self.attribute}.append(",
                f"        {detached}",
                "    )",
            ]
        if self.several:
            count = (
                f"self.trainer.num_{'val' if self.stage.name == 'validation' else 'test'}_batches"
            )
            return [
                f"collected = {self.attribute}",
                f"if len({count}) > 1:  # a list for each dataloader; a flat one for one",
                "    if not collected:",
                f"        collected.extend([] for _ in {count})",
                f"    collected = collected[{index}]",
                f"if {outputs} is not None:",
                f"    collected.append({outputs})",
            ]
        return [f"if {outputs} is not None:", f"    {self.attribute}.append({outputs})"]

    def _merge_hook(self, editor: Editor, own: FunctionNode) -> None:
        where = f"{self.root.module.source.path}:{own.lineno}"
        arguments = [*own.args.posonlyargs, *own.args.args][1:]
        if len(arguments) < (4 if self.several else 3):
            raise CannotEdit(
                f"{self.root.node.name}.{own.name} at {where} does not name its parameters, so the "
                "outputs cannot be collected there"
            )
        index = arguments[3].arg if len(arguments) > 3 else ""
        if self.sharing:
            raise CannotEdit(f"{self.root.node.name} already has a {own.name} at {where}")
        outputs = arguments[0].arg
        lines = self._collecting(outputs, index)
        first = own.body[0]
        if isinstance(first, ast.Assign) and ast.unparse(first).startswith(
            f"{outputs} = self._{self.stage.step_end}("
        ):
            # What was the step-end hook still decides what is collected.
            editor.insert_after(self.root.module, first, lines)
            return
        editor.insert_at_body_start(self.root.module, own, lines)


def _super_call(above: FunctionNode, stage: Stage) -> str:
    names = ["outputs", "batch", "batch_idx", "dataloader_idx"]
    if stage is TRAINING:
        names.pop()
    if not above.args.vararg:
        names = names[: len([*above.args.posonlyargs, *above.args.args]) - 1]
    return f"super().{stage.batch_end}({', '.join(names)})"


def _has_outside_base(cls: ClassInfo) -> bool:
    unknown = any(
        base is None and ast.unparse(node) != "object"
        for base, node in zip(cls.bases, cls.node.bases, strict=True)
    )
    return unknown or bool(cls.base_names - {"object", "builtins.object"})


def _decorator(node: ast.expr) -> str:
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def dataloader_parameter(step: FunctionNode) -> str | None:
    """Return the parameter of a step that tells which dataloader the batch is from."""
    arguments = [*step.args.posonlyargs, *step.args.args]
    for argument in (*arguments, *step.args.kwonlyargs):
        if argument.arg == "dataloader_idx":
            return argument.arg
    return arguments[3].arg if len(arguments) > 3 else None


def step_delegates(cls: ClassInfo, stage: Stage, to: Stage) -> bool:
    """Tell whether a step of a class is another stage's step, by alias or by handing on."""
    alias = cls.assigned.get(stage.step)
    if isinstance(alias, ast.Name):
        return alias.id == to.step
    step = cls.methods.get(stage.step)
    if step is None or step.decorator_list:
        return False
    body = step.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return False
    call = body[0].value
    given = [*call.args, *(k.value for k in call.keywords)] if isinstance(call, ast.Call) else []
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == to.step
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "self"
        and [ast.unparse(value).lstrip("*") for value in given]
        == [parameter.arg for parameter in extra_parameters(step)]
    )


# Attributes -------------------------------------------------------------------------------------


def attribute_values(cls: ClassInfo, attribute: str) -> list[ast.expr]:
    """Return every value that the methods of a class (or its body) give an attribute."""
    return _attributes(cls).get(attribute, [])


@kept
def _attributes(cls: ClassInfo) -> dict[str, list[ast.expr]]:
    """Return every value that a class gives each of its attributes."""
    table: dict[str, list[ast.expr]] = {}
    for name, value in cls.assigned.items():
        table.setdefault(name, []).append(value)
    for method in cls.methods.values():
        for node in subtree(method):
            if isinstance(node, ast.Assign):
                pairs = [(target, node.value) for target in node.targets]
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                pairs = [(node.target, node.value)]
            else:
                continue
            for target, value in _unpacked(pairs):
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id == "self"
                ):
                    table.setdefault(target.attr, []).append(value)
    return table


def _unpacked(pairs: list[tuple[ast.expr, ast.expr]]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each target with its value; with the whole value where it cannot be taken apart."""
    for target, value in pairs:
        if not isinstance(target, (ast.Tuple, ast.List)):
            yield target, value
            continue
        values = [value] * len(target.elts)
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(values):
            values = value.elts
        yield from _unpacked(list(zip(target.elts, values, strict=True)))


def _is_attribute(node: ast.AST, attribute: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def is_empty_list(value: ast.expr) -> bool:
    """Tell whether an expression makes a list."""
    if isinstance(value, _LIST_DISPLAYS):
        return True
    return (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "list"
    )


def _is_filled(method: FunctionNode, attribute: str) -> bool:
    """Tell whether a method puts something into a list of the instance, under any name."""
    nodes = list(subtree(method))
    return any(_is_attribute(node, attribute) for node in nodes) and any(
        isinstance(node, ast.Attribute) and node.attr in ("append", "extend") for node in nodes
    )


# Values of steps --------------------------------------------------------------------------------


def assignments(function: FunctionNode, name: str) -> list[ast.expr | None]:
    """Return what a function assigns to a name; ``None`` for what is no plain assignment."""
    found: list[ast.expr | None] = []
    for node in own_nodes(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    found.append(node.value)
                elif any(
                    isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store)
                    for n in subtree(target)
                ):
                    found.append(None)
        elif isinstance(node, ast.AnnAssign):
            if isinstance(node.target, ast.Name) and node.target.id == name and node.value:
                found.append(node.value)
        elif isinstance(node, (ast.For, ast.withitem)):
            holder = node.target if isinstance(node, ast.For) else node.optional_vars
            if holder is not None and any(
                isinstance(n, ast.Name) and n.id == name for n in subtree(holder)
            ):
                found.append(None)
    return found


def may_be_none(cls: ClassInfo, step: FunctionNode, value: ast.expr, depth: int = 4) -> bool:
    """Tell whether a returned value may be ``None``, which Lightning 1 left out."""
    if is_none(value) or not depth:
        return True
    if isinstance(value, ast.IfExp):
        return any(may_be_none(cls, step, v, depth - 1) for v in (value.body, value.orelse))
    if isinstance(value, ast.Name):
        return any(
            found is not None and may_be_none(cls, step, found, depth - 1)
            for found in assignments(step, value.id)
            if not isinstance(found, ast.Name)
        )
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)):
        return False
    if not (isinstance(value.func.value, ast.Name) and value.func.value.id == "self"):
        return value.func.attr == "get"
    helpers = [cls.lookup(value.func.attr)]
    helpers += [below.own(value.func.attr) for below in cls.subclasses]
    for info in helpers:
        if info is None:
            continue
        if not never_falls_off(info.node.body) or any(
            node.value is None or may_be_none(info.cls or cls, info.node, node.value, depth - 1)
            for node in returns(info.node)
        ):
            return True
    return False


def _are_all(step: FunctionNode, name: ast.Name, is_one: Callable[[ast.expr], bool]) -> bool:
    """Tell whether all that a step gives a name is of a kind, with no further name in between."""
    found = assignments(step, name.id)
    return bool(found) and all(
        item is not None and not isinstance(item, ast.Name) and is_one(item) for item in found
    )


def is_mapping(step: FunctionNode, value: ast.expr) -> bool:
    """Tell whether a returned value is surely a dict."""
    if isinstance(value, ast.Dict):
        return True
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in ("dict", "OrderedDict")
    if isinstance(value, ast.Name):
        return _are_all(step, value, lambda item: is_mapping(step, item))
    return False


def is_tensor(cls: ClassInfo, step: FunctionNode, value: ast.expr) -> bool:
    """Tell whether a value that a training step returns is surely a tensor."""
    if isinstance(value, (ast.BinOp, ast.UnaryOp)):
        return True
    if isinstance(value, ast.Call):
        name = cls.module.qualified(value.func) or ""
        return name.startswith("torch.")
    if not isinstance(value, ast.Name):
        return False
    if _are_all(step, value, lambda item: is_tensor(cls, step, item)):
        return True
    for load in loads(step, value.id):
        parent = cls.module.parent(load)
        if isinstance(parent, ast.BinOp):
            return True
        if isinstance(parent, ast.Attribute) and parent.attr in ("backward", "detach", "item"):
            return True
        if isinstance(parent, ast.keyword):
            parent = cls.module.parent(parent)
        if (
            isinstance(parent, ast.Call)
            and isinstance(parent.func, ast.Attribute)
            and parent.func.attr in ("log", "manual_backward")
            and isinstance(parent.func.value, ast.Name)
            and parent.func.value.id == "self"
        ):
            return True
    return False


def is_plain_number(step: FunctionNode, value: ast.expr) -> bool:
    """Tell whether a value is surely a Python number or text, which holds no memory to speak of."""
    if isinstance(value, ast.Constant):
        return True
    if isinstance(value, (ast.Tuple, ast.List)):
        return all(is_plain_number(step, item) for item in value.elts)
    if isinstance(value, ast.Call):
        func = value.func
        if isinstance(func, ast.Attribute):
            return func.attr in ("item", "tolist", "time", "format")
        return isinstance(func, ast.Name) and func.id in ("float", "int", "len", "str", "round")
    if isinstance(value, ast.BinOp):
        return is_plain_number(step, value.left) and is_plain_number(step, value.right)
    if isinstance(value, ast.Name):
        return _are_all(step, value, lambda item: is_plain_number(step, item))
    return False
