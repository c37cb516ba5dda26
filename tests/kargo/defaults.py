"""The defaults that Kargo's admission webhook sets in subscriptions, for the vectors that expect them."""

_TAGGED = {"strictSemvers": True, "discoveryLimit": 20}
_DEFAULTS = {
    "image": {"imageSelectionStrategy": "SemVer", **_TAGGED},
    "git": {"commitSelectionStrategy": "NewestFromBranch", **_TAGGED},
    "chart": {"discoveryLimit": 20},
}


def with_admission_defaults(subscription):
    """Return a subscription as stored after admission; field names are case-insensitive, as everywhere in Kargo."""
    return {kind: _defaulted(fields, _DEFAULTS.get(kind, {})) for kind, fields in subscription.items()}


def _defaulted(fields, defaults):
    if not isinstance(fields, dict):
        return fields
    lowercase = {key.lower(): value for key, value in fields.items()}
    return fields | {
        name: value for name, value in defaults.items() if _is_unset(lowercase.get(name.lower()))
    }


def _is_unset(value):
    return value is None or (not value and value is not False)
