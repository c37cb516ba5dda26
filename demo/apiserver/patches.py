"""Apply merge patches, JSON patches and strategic merge patches to objects.

The object is not modified. The result shares the parts that the patch does not change.
"""

from __future__ import annotations

import copy
from typing import Any, Final

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"

# Lists that a strategic merge patch merges instead of replacing, with the key that identifies an entry ("" for plain
# values). From the `patchStrategy` tags of the built-in types that this server has.
_MERGED_LISTS: Final = {
    "finalizers": "",
    "ownerReferences": "uid",
    "secrets": "name",
    "imagePullSecrets": "name",
    "conditions": "type",
}


class PatchError(Exception):
    """The patch cannot be applied to the object. The message is the cause."""


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value) if isinstance(value, dict) else value
    return result


def _merge_list(target: list[Any], patch: list[Any], key: str) -> list[Any]:
    if not key:
        return [*target, *(value for value in patch if value not in target)]
    result = list(target)
    for entry in patch:
        if not isinstance(entry, dict) or key not in entry:
            raise PatchError(f"map: {entry} does not contain declared merge key: {key}")
        at = next((i for i, old in enumerate(result) if old.get(key) == entry[key]), None)
        if entry.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic_merge_patch({}, entry))
        else:
            result[at] = strategic_merge_patch(result[at], entry)
    return result


def _strategic_value(old: Any, key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return strategic_merge_patch(old, value)
    if isinstance(value, list) and key in _MERGED_LISTS:
        return _merge_list(old if isinstance(old, list) else [], value, _MERGED_LISTS[key])
    return value


def strategic_merge_patch(target: Any, patch: dict[str, Any]) -> Any:
    """Apply a strategic merge patch, with the features that the built-in types need. Raises `PatchError`.

    Directives: sig-api-machinery's "Strategic Merge Patch" page.
    """
    result = dict(target) if isinstance(target, dict) else {}
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    if isinstance(retained := patch.get("$retainKeys"), list):
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [entry for entry in result.get(name) or [] if entry not in value]
        elif key.startswith("$"):
            continue  # $patch and $retainKeys are done; $setElementOrder is the order in which lists are merged anyway
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = _strategic_value(result.get(key), key, value)
    return result


def _steps(pointer: Any) -> list[str]:
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise PatchError(f"invalid JSON pointer {pointer!r}")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _index(length: int, step: str) -> int:
    if not (step.isascii() and step.isdigit()) or (len(step) > 1 and step[0] == "0") or int(step) >= length:
        raise PatchError(f"unable to access invalid index: {step}")
    return int(step)


def _child(container: Any, step: str) -> Any:
    if isinstance(container, dict) and step in container:
        return container[step]
    if isinstance(container, list):
        return container[_index(len(container), step)]
    raise PatchError(f"missing path: {step!r}")


def _get(document: Any, pointer: Any) -> Any:
    for step in _steps(pointer):
        document = _child(document, step)
    return document


def _changed(document: Any, steps: list[str], value: Any, action: str) -> Any:
    """Return `document` with `value` added, replaced or removed at `steps`. Copies only the containers on the path."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if rest:
        inner = _changed(_child(document, step), rest, value, action)
        return _changed(document, [step], inner, "replace")
    if isinstance(document, list):
        result = list(document)
        if action == "add":
            result.insert(len(result) if step == "-" else _index(len(result) + 1, step), value)
        elif action == "replace":
            result[_index(len(result), step)] = value
        else:
            del result[_index(len(result), step)]
        return result
    if not isinstance(document, dict) or (action != "add" and step not in document):
        raise PatchError(f"missing path: {step!r}")
    if action == "remove":
        return {key: old for key, old in document.items() if key != step}
    return {**document, step: value}


def _operation(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict):
        raise PatchError("an operation must be an object")
    action, path = operation.get("op"), operation.get("path")
    match action:
        case "test":
            if _get(document, path) != operation.get("value"):
                raise PatchError(f"testing value {path} failed: test failed")
            return document
        case "add" | "replace" if "value" in operation:
            return _changed(document, _steps(path), operation["value"], action)
        case "remove":
            return _changed(document, _steps(path), None, "remove")
        case "move" | "copy":
            value = _get(document, operation.get("from"))
            if action == "move":
                document = _changed(document, _steps(operation.get("from")), None, "remove")
            return _changed(document, _steps(path), copy.deepcopy(value), "add")
    raise PatchError(f"unexpected operation {operation}")


def json_patch(target: Any, operations: list[Any]) -> Any:
    """Apply a JSON patch (RFC 6902) completely or not at all. Raises `PatchError`."""
    for operation in operations:
        target = _operation(target, operation)
    return target
