"""Data classes as the standard library makes them, at a fraction of the time.

A connection begins with the import of some three hundred data classes. The standard decorator
compiles about six functions for each, which was two thirds of the time from ``exec`` to the first
packet. Here a class gets functions that are the same for all: most have no instance or one in most
runs.

``slots=True`` is for classes of which packets or peers make instances: less memory, and an
``__init__`` that is compiled when there turn out to be many. It costs a second making of the class,
which is why the others do without. They must be frozen, so that no attribute is set by mistake.

Type checkers see the standard decorator. At run time there is what this program uses of it:
``slots``, ``frozen`` and ``kw_only`` for whole classes, ``__post_init__``, and fields with a
default, a default factory or ``compare=False``. A data class that inherits from another one raises
TypeError when it is made.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import repeat
from operator import attrgetter

from ginnel.hints import TYPE_CHECKING, Any, NoReturn, TypeVar

# ``Any``: this module handles the attributes of classes that it knows nothing about.

T = TypeVar("T")
Values = Callable[[object], tuple[object, ...]]

_MISSING: Any = object()
"""Stands for no default."""

PLAIN_INSTANCES = 40
"""Instances of a class with slots that are made without compiling for it, which costs as much."""

_set_attribute = object.__setattr__


class _Field:
    """What ``field`` leaves in the class body."""

    def __init__(self, default: Any, default_factory: Any, *, compare: bool) -> None:
        self.default = default
        self.default_factory = default_factory
        self.compare = compare

    @property
    def has_default(self) -> bool:
        return self.default is not _MISSING or self.default_factory is not _MISSING


class _StandardFields:
    """``__dataclass_fields__`` for the standard ``replace`` and ``fields``; made when asked for."""

    def __get__(self, instance: object, owner: type) -> dict[str, Any]:
        import dataclasses

        shape: _Shape = owner.__dict__["__quick_shape__"]
        namespace: dict[str, Any] = {"__annotations__": shape.annotations}
        for name, ours in shape.fields.items():
            if ours.default_factory is not _MISSING:
                theirs: Any = dataclasses.field(
                    default_factory=ours.default_factory, compare=ours.compare
                )
            elif ours.default is not _MISSING:
                theirs = dataclasses.field(default=ours.default, compare=ours.compare)
            else:
                theirs = dataclasses.field(compare=ours.compare)
            namespace[name] = theirs
        plain: Any = type(owner.__name__, (), namespace)
        twin = dataclasses.dataclass(kw_only=shape.kw_only)(plain)
        made: dict[str, Any] = twin.__dataclass_fields__
        type.__setattr__(owner, "__dataclass_fields__", made)  # from now on it is found at once
        return made


class _Shape:
    """What is known of one class; most of it is worked out when it is first needed."""

    def __init__(self, cls: type, *, kw_only: bool, slots: bool) -> None:
        if cls.__base__ is not object:
            raise TypeError(f"{cls.__name__}: a data class does not inherit from another class")
        self.owner = cls
        body = cls.__dict__
        self.annotations: dict[str, Any] = body.get("__annotations__", {})
        self.names = tuple(self.annotations)
        self.given = {name: body[name] for name in self.names if name in body}
        """What the class body assigns to fields: defaults and descriptions."""
        self.kw_only = kw_only
        self.slots = slots
        self.post_init = "__post_init__" in body
        self.plain_left = PLAIN_INSTANCES
        self.required: set[str] | None = None
        if self.given and not kw_only:
            defaults = [field.has_default for field in self.fields.values()]
            if defaults != sorted(defaults):
                raise TypeError(
                    f"{cls.__name__}: a field without a default follows one that has one"
                )

    @cached_property
    def fields(self) -> dict[str, _Field]:
        given = self.given
        return {name: _as_field(given.get(name, _MISSING)) for name in self.names}

    @cached_property
    def values(self) -> Values:
        return _values_of(self.names)

    @cached_property
    def compared(self) -> Values:
        fields = self.fields
        return _values_of(tuple(name for name in self.names if fields[name].compare))

    def prepare(self) -> set[str]:
        """Works out what makes up for fields that a call leaves out; returns those it must give."""
        required = self.annotations.keys() - self.given.keys()
        defaults: dict[str, object] = {}
        factories: list[tuple[str, Callable[[], object]]] = []
        for name, given in self.given.items():
            if type(given) is _Field:
                if given.default_factory is not _MISSING:
                    factories.append((name, given.default_factory))
                elif given.default is not _MISSING:
                    defaults[name] = given.default
                else:
                    required.add(name)
            # Without slots an instance finds a default in its class, where the body left it; but
            # a function would be a method there.
            elif self.slots or callable(given):
                defaults[name] = given
        self.defaults, self.factories = defaults, factories
        self.required = required  # last: another thread may look
        return required


def _dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False
) -> Callable[[type[T]], type[T]]:
    """Decorates a class as the standard ``dataclass`` does."""

    def decorate(cls: type[T]) -> type[T]:
        if slots:
            return _with_slots(cls, frozen=frozen, kw_only=kw_only)
        if not frozen:
            raise TypeError(f"{cls.__name__}: a data class of this program has frozen or slots")
        return _in_place(cls, kw_only=kw_only)

    return decorate


def _field(
    *, default: Any = _MISSING, default_factory: Any = _MISSING, compare: bool = True
) -> Any:
    """Describes a field; a factory makes a default anew for each instance."""
    return _Field(default, default_factory, compare=compare)


def _replace(instance: T, /, **changes: object) -> T:
    """Makes a copy with changes."""
    shape: _Shape = instance.__quick_shape__  # type: ignore[attr-defined]
    if shape.slots:
        kept = dict(zip(shape.names, shape.values(instance), strict=True))
    else:
        kept = vars(instance)
    return type(instance)(**kept | changes)


# --- classes -----------------------------------------------------------------------------------


def _in_place(cls: type[T], *, kw_only: bool) -> type[T]:
    """Makes a frozen data class of the class itself. Few statements: each change takes 1 µs."""
    shape = _Shape(cls, kw_only=kw_only, slots=False)
    body = cls.__dict__
    for name, given in shape.given.items():
        if type(given) is _Field:
            delattr(cls, name)
    ours: Any = cls
    ours.__quick_shape__ = shape
    ours.__dataclass_fields__ = _STANDARD_FIELDS
    type.__setattr__(cls, "__match_args__", () if kw_only else shape.names)
    ours.__init__ = _init
    ours.__setattr__ = _refuse_assignment
    ours.__delattr__ = _refuse_deletion
    if "__repr__" not in body:
        ours.__repr__ = _repr
    if "__eq__" not in body:
        ours.__eq__ = _equal
    # A class body with __eq__ alone has __hash__ set to None by Python.
    if body.get("__hash__") is None:
        ours.__hash__ = _hash
    return cls


def _with_slots(cls: type[T], *, frozen: bool, kw_only: bool) -> type[T]:
    """Makes another class, since slots are part of how one is made."""
    shape = _Shape(cls, kw_only=kw_only, slots=True)
    # All goes into the namespace before the class is made: each later change of a class costs as
    # much as a tenth of making it.
    namespace = dict(cls.__dict__)
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    for name in shape.given:
        del namespace[name]
    namespace["__slots__"] = shape.names
    namespace["__match_args__"] = () if kw_only else shape.names
    namespace["__qualname__"] = cls.__qualname__
    namespace["__quick_shape__"] = shape
    namespace["__dataclass_fields__"] = _STANDARD_FIELDS
    namespace.setdefault("__repr__", _repr)
    namespace.setdefault("__eq__", _equal)
    namespace["__init__"] = _init
    if frozen:
        if namespace.get("__hash__") is None:
            namespace["__hash__"] = _hash
        namespace.update(_FROZEN)
    metaclass: Any = type(cls)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, namespace)
    shape.owner = made
    return made


# --- instances ---------------------------------------------------------------------------------


def _init(self: Any, /, *positional: object, **named: object) -> None:
    """The ``__init__`` of all classes; one with slots gets its own when it has many instances."""
    shape: _Shape = self.__quick_shape__
    values = named
    if positional:
        values = dict(zip(shape.names, positional, strict=False)) | named
        if shape.kw_only or len(values) < len(positional) + len(named):
            _refuse(self, positional, named)
    required = shape.prepare() if shape.required is None else shape.required
    if not required <= values.keys() <= shape.annotations.keys():
        _refuse(self, positional, named)
    if shape.defaults:
        values = shape.defaults | values
    for name, make in shape.factories:
        if name not in values:
            values[name] = make()
    if shape.slots:
        any(map(_set_attribute, repeat(self), values, values.values()))  # each returns None
        shape.plain_left -= 1
        if shape.plain_left <= 0:
            owner: Any = shape.owner
            owner.__init__ = _compile_init(shape)
    else:
        _set_attribute(self, "__dict__", values)
    if shape.post_init:
        self.__post_init__()


def _refuse(self: Any, positional: tuple[object, ...], named: dict[str, object]) -> NoReturn:
    """Raises TypeError for a wrong call, in Python's words."""
    _compile_init(self.__quick_shape__)(self, *positional, **named)
    raise AssertionError("a right call was taken for a wrong one")


def _compile_init(shape: _Shape) -> Callable[..., None]:
    """Writes ``__init__`` as one would by hand; slots are set through their descriptors.

    Without slots it is only there to refuse a call.
    """
    cls = shape.owner
    # Names that no field has: they must not hide each other inside the function.
    scope: dict[str, Any] = {"__missing": _MISSING}
    parameters, body = [], []
    for name, ours in shape.fields.items():
        set_it, make_it, default = f"__set_{name}", f"__make_{name}", f"__default_{name}"
        value, parameter = name, name
        if ours.default_factory is not _MISSING:
            scope[make_it] = ours.default_factory
            parameter = f"{name}=__missing"
            value = f"{make_it}() if {name} is __missing else {name}"
        elif ours.default is not _MISSING:
            scope[default] = ours.default
            parameter = f"{name}={default}"
        parameters.append(parameter)
        if shape.slots:
            scope[set_it] = cls.__dict__[name].__set__
            body.append(f" {set_it}(self, {value})")
    if shape.post_init:
        body.append(" self.__post_init__()")
    star = ["*"] if shape.kw_only and parameters else []
    head = f"def __init__({', '.join(['self', *star, *parameters])}):"
    exec("\n".join([head, *(body or [" pass"])]), scope)  # noqa: S102 -- the names of fields only
    compiled: Callable[..., None] = scope["__init__"]
    compiled.__qualname__ = f"{cls.__qualname__}.__init__"
    compiled.__module__ = cls.__module__
    return compiled


# --- what all classes share --------------------------------------------------------------------


def _as_field(given: Any) -> _Field:
    return given if isinstance(given, _Field) else _Field(given, _MISSING, compare=True)


def _values_of(names: tuple[str, ...]) -> Values:
    if not names:
        return lambda instance: ()
    getter = attrgetter(*names)
    return getter if len(names) > 1 else lambda instance: (getter(instance),)


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__quick_shape__.names)
    return f"{type(self).__qualname__}({fields})"


def _equal(self: Any, other: Any) -> Any:
    if other is self:
        return True
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared: Values = self.__quick_shape__.compared
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.__quick_shape__.compared(self))


def _refuse_assignment(self: object, name: str, value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: object, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> tuple[object, ...]:
    values: Values = self.__quick_shape__.values
    return values(self)


def _set_state(self: Any, state: tuple[object, ...]) -> None:
    """For ``copy`` and ``pickle``, which set the slots of a frozen instance."""
    for name, value in zip(self.__quick_shape__.names, state, strict=True):
        object.__setattr__(self, name, value)


_STANDARD_FIELDS = _StandardFields()
_FROZEN = {
    "__setattr__": _refuse_assignment,
    "__delattr__": _refuse_deletion,
    "__getstate__": _state,
    "__setstate__": _set_state,
}


if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    dataclass, field, replace = _dataclass, _field, _replace

__all__ = ["dataclass", "field", "replace"]
