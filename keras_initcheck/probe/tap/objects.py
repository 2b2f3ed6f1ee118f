"""The Python objects behind a model, captured deep, so that a layer's effects on them are undone.

Objects are only looked at: no method and no property of the user's runs. Of the frameworks' own
classes only layers and modules are opened.
"""

import random
import sys
import threading
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, compress, repeat, starmap, zip_longest
from operator import is_, not_
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
        self._keepers: dict[type, Callable[[list[Any]], None] | None] = {}

    def keep(self, roots: Iterable[Any]) -> None:
        """Keeps the attributes of `roots`, whatever they are, and all behind them."""
        given = {id(root): root for root in roots}
        fresh = [root for key, root in given.items() if key not in self._seen]
        self._seen |= given
        for kind, members in _by_kind(fresh).items():
            self._keep_attributes(_slots(kind), members)
        while self._pending:
            self._keep_pending()
        # They hold this object, and it holds the copies. Without them the copies go with their last
        # user, and not with the next collection of cycles.
        self._keepers.clear()

    def restore(self) -> None:
        """Puts everything back; a second call finds nothing to do."""
        for restore in self._restores:
            restore()

    def _keep_pending(self) -> None:
        """Keeps what the objects that were kept last hold themselves.

        A model is thousands of objects. All of a kind are kept together, since a call of a function
        for each would take as long as a small training step. It is no recursion, since chains of
        objects may be longer than Python's stack is deep.
        """
        pending, self._pending, keepers = self._pending, [], self._keepers
        for kind in set(map(type, pending)) - keepers.keys():
            keepers[kind] = self._keeper(kind)
        opened = list(compress(pending, map(keepers.__getitem__, map(type, pending))))
        fresh = dict(zip(map(id, opened), opened, strict=True))
        for known in fresh.keys() & self._seen.keys():
            del fresh[known]
        self._seen.update(fresh)
        for kind, members in _by_kind(fresh.values()).items():
            keep = keepers[kind]
            if keep is not None:
                keep(members)

    def _keeper(self, kind: type) -> Callable[[list[Any]], None] | None:
        slots = _slots(kind)
        # Keras' own kinds of containers have a tracker beside their contents, and nothing else.
        has_more = kind not in _CONTAINERS and not kind.__module__.startswith("keras.")
        known: tuple[tuple[Any, Callable[..., None], Any], ...] = (
            (keras.layers.Layer, self._keep_attributes, slots),
            (self._engine.MODULES, self._keep_modules, slots),
            (self._engine.TENSORS, self._keep_tensors, None),
            *(
                (base, self._keep_containers, (base, slots if has_more else None))
                for base in _CONTAINERS
            ),
            (tuple, self._keep_tuples, None),
            (np.ndarray, self._keep_arrays, None),
            (
                (random.Random, np.random.RandomState, np.random.Generator),
                self._keep_generators,
                None,
            ),
        )
        found = next(
            (partial(keep, given) for kinds, keep, given in known if issubclass(kind, kinds)), None
        )
        return partial(self._keep_objects, slots) if found is None and _is_users(kind) else found

    def _keep_objects(self, slots: list[Any], members: list[Any]) -> None:
        kept = [
            value
            for value in members
            if not any(issubclass(type(each), _SHARED) for each in _attributes(value).values())
            and self._pays(BYTES_PER_OBJECT)
        ]
        self._keep_attributes(slots, kept)

    def _keep_attributes(self, slots: list[Any], members: list[Any]) -> None:
        copies = list(map(dict.copy, _all_attributes(members)))
        self._restores.append(partial(_restore_all_attributes, members, copies))
        self._pending.extend(chain.from_iterable(map(dict.values, copies)))
        for slot in slots:
            contents = [_slot_value(slot, value) for value in members]
            self._restores.append(partial(_restore_slot, slot, members, contents))
            self._pending.extend(contents)

    def _keep_modules(self, slots: list[Any], members: list[Any]) -> None:
        """Keeps modules whole: all that they have is their state, however large."""
        for tensor in chain.from_iterable(map(self._engine.own_tensors, members)):
            if id(tensor) not in self._seen:
                self._seen[id(tensor)] = tensor
                self._restores.append(self._engine.capture_tensor(tensor))
        self._keep_attributes(slots, members)

    def _keep_tensors(self, _: None, members: list[Any]) -> None:
        for tensor in members:
            if self._pays(self._engine.num_bytes(tensor)):
                self._restores.append(self._engine.capture_tensor(tensor))

    def _keep_containers(self, kind: tuple[Any, list[Any] | None], members: list[Any]) -> None:
        base, slots = kind
        sizes = list(map(base.__len__, members))
        if not self._pays(sum(sizes) * BYTES_PER_ENTRY):
            are_kept = [self._pays(size * BYTES_PER_ENTRY) for size in sizes]
            members, sizes = list(compress(members, are_kept)), list(compress(sizes, are_kept))
        full, empty = list(compress(members, sizes)), list(compress(members, map(not_, sizes)))
        self._restores.append(partial(_restore_empty, base, empty))
        copy, values, are_same, restore = _CONTAINERS[base]
        copies = list(map(copy, full))
        self._restores.append(partial(_restore_containers, are_same, restore, full, copies))
        self._pending.extend(chain.from_iterable(map(values, copies)))
        if slots is not None:
            self._keep_attributes(slots, members)

    def _keep_tuples(self, _: None, members: list[Any]) -> None:
        self._pending.extend(chain.from_iterable(map(tuple.__iter__, members)))

    def _keep_arrays(self, _: None, members: list[Any]) -> None:
        for array in members:
            is_kept = not isinstance(array, np.memmap) and array.flags.writeable
            if is_kept and self._pays(array.nbytes):
                plain = array.view(np.ndarray)
                self._restores.append(partial(np.copyto, plain, plain.copy()))

    def _keep_generators(self, _: None, members: list[Any]) -> None:
        for generator in members:
            if isinstance(generator, np.random.Generator):
                bits = generator.bit_generator
                self._restores.append(partial(setattr, bits, "state", bits.state))
            elif isinstance(generator, np.random.RandomState):
                self._restores.append(partial(generator.set_state, generator.get_state()))
            elif not isinstance(generator, random.SystemRandom):
                self._restores.append(partial(generator.setstate, generator.getstate()))

    def _pays(self, num_bytes: int) -> bool:
        if num_bytes > self._bytes_left:
            return False
        self._bytes_left -= num_bytes
        return True


def _by_kind(values: Iterable[Any]) -> dict[type, list[Any]]:
    """The values of each type, in their order."""
    found: dict[type, list[Any]] = defaultdict(list)
    for value in values:
        found[type(value)].append(value)
    return found


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


def _all_attributes(members: list[Any]) -> list[dict[str, Any]]:
    """The `_attributes` of each of some objects of one kind, without a call for each."""
    try:
        found = list(map(object.__getattribute__, members, repeat("__dict__")))
    except AttributeError:
        return list(map(_attributes, members))
    return found if set(map(type, found)) <= {dict} else list(map(_attributes, members))


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


def _restore_all_attributes(members: list[Any], copies: list[dict[str, Any]]) -> None:
    found = _all_attributes(members)
    if not _are_same_dicts(found, copies):
        for now, attributes in zip(found, copies, strict=True):
            _restore_attributes(now, attributes)


def _restore_attributes(now: dict[str, Any], attributes: dict[str, Any]) -> None:
    if len(now) != len(attributes) or not all(
        map(is_, map(now.get, attributes), attributes.values())
    ):
        for name in now.keys() - attributes.keys():
            del now[name]
        now.update(attributes)


def _restore_slot(slot: Any, members: list[Any], contents: list[Any]) -> None:
    for value, content in zip(members, contents, strict=True):
        if _slot_value(slot, value) is not content:
            slot.__delete__(value) if content is _MISSING else slot.__set__(value, content)


def _restore_empty(base: Any, containers: list[Any]) -> None:
    if any(map(base.__len__, containers)):
        for container in containers:
            base.clear(container)


def _restore_containers(
    are_same: Callable[[list[Any], list[Any]], bool],
    restore: Callable[[Any, Any], None],
    containers: list[Any],
    copies: list[Any],
) -> None:
    if not are_same(containers, copies):
        for container, content in zip(containers, copies, strict=True):
            restore(container, content)


def _are_same_lists(now: list[Any], before: list[Any]) -> bool:
    return list(map(list.__len__, now)) == list(map(len, before)) and all(
        map(is_, chain.from_iterable(map(list.__iter__, now)), chain.from_iterable(before))
    )


def _are_same_dicts(now: list[Any], before: list[Any]) -> bool:
    """Whether dicts have the same values for the same keys, in the same order."""
    return list(map(dict.__len__, now)) == list(map(len, before)) and all(
        all(map(is_, *(chain.from_iterable(map(part, each)) for each in (now, before))))
        for part in (dict.__iter__, dict.values)
    )


def _are_same_sets(now: list[Any], before: list[Any]) -> bool:
    return all(map(set.__eq__, now, before))


def _are_unknown(now: list[Any], before: list[Any]) -> bool:
    """Always false: each container is looked at by itself."""
    return not now


def _restore_list(container: Any, content: list[Any]) -> None:
    if not _is_same(list.__iter__(container), content):
        list.__setitem__(container, slice(None), content)


def _restore_deque(container: Any, content: list[Any]) -> None:
    if not _is_same(deque.__iter__(container), content):
        deque.clear(container)
        deque.extend(container, content)


def _restore_set(container: Any, content: Any) -> None:
    set.intersection_update(container, content)
    set.update(container, content)


def _restore_dict(container: Any, content: dict[Any, Any]) -> None:
    if not _are_same_dicts([container], [content]):
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
    Any,
    tuple[
        Callable[[Any], Any],
        Callable[[Any], Iterable[Any]],
        Callable[[list[Any], list[Any]], bool],
        Callable[[Any, Any], None],
    ],
] = {
    list: (list.copy, iter, _are_same_lists, _restore_list),
    deque: (
        lambda container: list(deque.__iter__(container)),
        iter,
        _are_unknown,
        _restore_deque,
    ),
    set: (set.copy, set.__iter__, _are_same_sets, _restore_set),
    OrderedDict: (
        lambda container: list(OrderedDict.items(container)),
        iter,
        _are_unknown,
        _restore_ordered,
    ),
    dict: (dict.copy, dict.values, _are_same_dicts, _restore_dict),
}
"""For each kind of container: its copy, the values in the copy, whether containers are the same as
their copies, and how one is put back.

The base class's own methods are called: Keras' containers refuse changes of a built layer, and a
user's class may do anything. `OrderedDict` keeps its order beside the dictionary that it is."""
