"""The Python objects behind a model, captured deep, so that a layer's effects on them are undone.

Objects are only looked at: no method and no property of the user's runs. Of the frameworks' own
classes only layers and modules are opened.
"""

import random
import sys
import threading
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import starmap, zip_longest
from operator import is_
from queue import Queue, SimpleQueue
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.engine.protocol import Engine, Restore

MOST_BYTES = 2**26
"""Most bytes that arrays and containers may take together: a data set on a layer is not copied.
Copying that much takes some 10 ms.
"""
BYTES_PER_ENTRY = 64
"""Bytes that an entry of a container counts for: looking at it takes as long as copying these."""
BYTES_PER_OBJECT = 512
"""Bytes that an object of a user's class counts for."""
_MISSING = object()
_CLOSED = {"keras", "tensorflow", "jax", "jaxlib", "torch", "numpy", "keras_initcheck"}
_SHARED = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Thread,
    threading.Event,
    threading.Condition,
    Queue,
    SimpleQueue,
)


class Objects:
    """Keeps objects as they are, and all that they hold, and puts them back.

    Kept are attributes and slots of layers and of objects of the user's classes, lists, dicts, sets
    and deques by their contents, NumPy arrays by their values, the states of `random.Random` and of
    NumPy's generators, and what the engine knows: TensorFlow's variables, torch's tensors, modules
    and generators. Each object counts once, however often it is met.

    Not kept are arrays, loose tensors, containers and objects beyond `MOST_BYTES` in all, objects
    of the standard library and of compiled classes (iterators, files), what classes and modules
    hold; and data sets and objects with a lock, a thread or a queue, since other threads may change
    them meanwhile. Whatever else a layer holds must not be changed by another thread during a pass.

    Args:
        engine: The backend's engine module.
        left: Objects that are not opened.
    """

    def __init__(self, engine: Engine, left: Iterable[Any] = ()) -> None:
        self._engine = engine
        self._seen = {id(each): each for each in left}
        self._pending: list[Any] = []
        self._restores: list[Restore] = []
        self._bytes_left = MOST_BYTES
        self._keepers: dict[type, Callable[[Any], None] | None] = {}

    def keep(self, roots: Iterable[Any]) -> None:
        """Keeps the attributes of `roots`, whatever they are, and all behind them."""
        for root in roots:
            if id(root) not in self._seen:
                self._seen[id(root)] = root
                self._keep_attributes(_slots(type(root)), root)
        # A model is thousands of objects, and a call of a function for each would take as long as
        # a small training step: this loop has none for those that are known or of a plain kind.
        # It is no recursion, since chains of objects may be longer than Python's stack is deep.
        pending, seen, keepers = self._pending, self._seen, self._keepers
        while pending:
            value = pending.pop()
            kind = type(value)
            keep = keepers[kind] if kind in keepers else self._add_keeper(kind)
            if keep is not None and id(value) not in seen:
                seen[id(value)] = value
                keep(value)
        # They hold this object, and it holds the copies. Without them the copies go with their last
        # user, and not with the next collection of cycles.
        self._keepers.clear()

    def restore(self) -> None:
        """Puts everything back; a second call finds nothing to do."""
        for restore in self._restores:
            restore()

    def _add_keeper(self, kind: type) -> Callable[[Any], None] | None:
        keeper = self._keepers[kind] = self._keeper(kind)
        return keeper

    def _keeper(self, kind: type) -> Callable[[Any], None] | None:
        slots = _slots(kind)
        # Keras' own kinds of containers have a tracker beside their contents, and nothing else.
        has_more = kind not in _CONTAINERS and not kind.__module__.startswith("keras.")
        known: tuple[tuple[Any, Callable[..., None], Any], ...] = (
            (keras.layers.Layer, self._keep_attributes, slots),
            (self._engine.MODULES, self._keep_module, slots),
            (self._engine.TENSORS, self._keep_tensor, None),
            *(
                (base, self._keep_container, (base, slots if has_more else None))
                for base in _CONTAINERS
            ),
            (tuple, self._keep_tuple, None),
            (np.ndarray, self._keep_array, None),
            (
                (random.Random, np.random.RandomState, np.random.Generator),
                self._keep_generator,
                None,
            ),
        )
        found = next(
            (partial(keep, given) for kinds, keep, given in known if issubclass(kind, kinds)), None
        )
        return partial(self._keep_object, slots) if found is None and _is_users(kind) else found

    def _keep_object(self, slots: list[Any], value: Any) -> None:
        is_shared = any(issubclass(type(each), _SHARED) for each in _attributes(value).values())
        if not is_shared and self._pays(BYTES_PER_OBJECT):
            self._keep_attributes(slots, value)

    def _keep_attributes(self, slots: list[Any], value: Any) -> None:
        attributes, contents = (
            dict(_attributes(value)),
            [_slot_value(slot, value) for slot in slots],
        )
        self._restores.append(partial(_restore_attributes, value, attributes, slots, contents))
        self._pending.extend(attributes.values())
        self._pending.extend(contents)

    def _keep_module(self, slots: list[Any], module: Any) -> None:
        """Keeps a module whole: all that it has is its state, however large."""
        for tensor in self._engine.own_tensors(module):
            if id(tensor) not in self._seen:
                self._seen[id(tensor)] = tensor
                self._restores.append(self._engine.capture_tensor(tensor))
        self._keep_attributes(slots, module)

    def _keep_tensor(self, _: None, tensor: Any) -> None:
        if self._pays(self._engine.num_bytes(tensor)):
            self._restores.append(self._engine.capture_tensor(tensor))

    def _keep_container(self, kind: tuple[Any, list[Any] | None], container: Any) -> None:
        base, slots = kind
        size = base.__len__(container)
        if not size and slots is None:
            self._restores.append(partial(_restore_empty, base, container))
            return
        if size * BYTES_PER_ENTRY > self._bytes_left:
            return
        self._bytes_left -= size * BYTES_PER_ENTRY
        copy, values, restore = _CONTAINERS[base]
        content = copy(container)
        self._restores.append(partial(restore, container, content))
        self._pending.extend(values(content))
        if slots is not None:
            self._keep_attributes(slots, container)

    def _keep_tuple(self, _: None, value: Any) -> None:
        self._pending.extend(tuple.__iter__(value))

    def _keep_array(self, _: None, array: Any) -> None:
        if (
            isinstance(array, np.memmap)
            or not array.flags.writeable
            or not self._pays(array.nbytes)
        ):
            return
        plain = array.view(np.ndarray)
        values = plain.copy()
        self._restores.append(partial(np.copyto, plain, values))

    def _keep_generator(self, _: None, generator: Any) -> None:
        if isinstance(generator, np.random.Generator):
            bits = generator.bit_generator
            state = bits.state
            self._restores.append(partial(setattr, bits, "state", state))
        elif isinstance(generator, np.random.RandomState):
            legacy = generator.get_state()
            self._restores.append(partial(generator.set_state, legacy))
        elif not isinstance(generator, random.SystemRandom):
            python = generator.getstate()
            self._restores.append(partial(generator.setstate, python))

    def _pays(self, num_bytes: int) -> bool:
        if num_bytes > self._bytes_left:
            return False
        self._bytes_left -= num_bytes
        return True


def _is_users(kind: type) -> bool:
    top = kind.__module__.partition(".")[0]
    is_open = top not in _CLOSED and top not in sys.stdlib_module_names
    return (is_open or kind is types.SimpleNamespace) and not issubclass(
        kind, type | keras.utils.PyDataset
    )


def _attributes(value: Any) -> dict[str, Any]:
    """The instance's own dictionary, past any `__getattr__`."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}


def _slots(kind: type) -> list[Any]:
    owners = (each for each in kind.__mro__ if "__slots__" in vars(each))
    return [
        member
        for owner in owners
        for member in vars(owner).values()
        if isinstance(member, types.MemberDescriptorType)
    ]


def _slot_value(slot: Any, value: Any) -> Any:
    try:
        return slot.__get__(value)
    except AttributeError:
        return _MISSING


def _restore_attributes(
    value: Any, attributes: dict[str, Any], slots: list[Any], contents: list[Any]
) -> None:
    now = _attributes(value)
    if len(now) != len(attributes) or not all(
        map(is_, map(now.get, attributes), attributes.values())
    ):
        for name in now.keys() - attributes.keys():
            del now[name]
        now.update(attributes)
    for slot, content in zip(slots, contents, strict=True):
        if _slot_value(slot, value) is not content:
            slot.__delete__(value) if content is _MISSING else slot.__set__(value, content)


def _restore_empty(base: Any, container: Any) -> None:
    if base.__len__(container):
        base.clear(container)


def _restore_list(container: Any, content: list[Any]) -> None:
    is_as_long = list.__len__(container) == len(content)
    if not is_as_long or not all(map(is_, list.__iter__(container), content)):
        list.__setitem__(container, slice(None), content)


def _restore_deque(container: Any, content: list[Any]) -> None:
    if not _is_same(deque.__iter__(container), content):
        deque.clear(container)
        deque.extend(container, content)


def _restore_set(container: Any, content: Any) -> None:
    set.intersection_update(container, content)
    set.update(container, content)


def _restore_dict(container: Any, content: dict[Any, Any]) -> None:
    is_same = (
        dict.__len__(container) == len(content)
        and all(map(is_, dict.__iter__(container), content))
        and all(map(is_, dict.values(container), content.values()))
    )
    if not is_same:
        dict.clear(container)
        dict.update(container, content)


def _restore_ordered(container: Any, content: list[tuple[Any, Any]]) -> None:
    now = list(OrderedDict.items(container))
    if len(now) != len(content) or not all(map(_is_same, now, content)):
        OrderedDict.clear(container)
        for key, value in content:
            OrderedDict.__setitem__(container, key, value)


def _is_same(now: Iterable[Any], before: Iterable[Any]) -> bool:
    return all(starmap(is_, zip_longest(now, before, fillvalue=_MISSING)))


_CONTAINERS: dict[
    Any, tuple[Callable[[Any], Any], Callable[[Any], Iterable[Any]], Callable[[Any, Any], None]]
] = {
    list: (list.copy, iter, _restore_list),
    deque: (lambda container: list(deque.__iter__(container)), iter, _restore_deque),
    set: (set.copy, set.__iter__, _restore_set),
    OrderedDict: (lambda container: list(OrderedDict.items(container)), iter, _restore_ordered),
    dict: (dict.copy, dict.values, _restore_dict),
}
"""For each kind of container: its copy, the values in the copy, and how the copy is put back.

The base class's own methods are called: Keras' containers refuse changes of a built layer, and a
user's class may do anything. `OrderedDict` keeps its order beside the dictionary that it is."""
