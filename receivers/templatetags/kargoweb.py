"""Template tags and filters: icons, badges, times, names of artifacts, charts and links."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from receivers.accounts.access import Action
from receivers.deliveries.escaping import escape_invisible
from receivers.deliveries.outcomes import Tone, headline_of, label, tone
from receivers.deliveries.push_names import shown_repository, shown_tag
from receivers.health.finding import Severity
from receivers.kargo.kinds import KINDS, kind_title
from receivers.kargo.matching import MatchResult
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery
from receivers.web import durations, links, local_times
from receivers.web.charts import Chart
from receivers.web.phrases import Phrase, Piece

register = template.Library()
register.simple_tag(links.project_url)
register.simple_tag(links.receiver_page_url)
register.simple_tag(links.test_url)
register.simple_tag(links.deliveries_url)
register.simple_tag(links.pushes_url)
register.simple_tag(links.same_push_url)
register.simple_tag(links.push_url)
register.simple_tag(links.warehouse_url)

TONE_ICONS: Final = {Tone.GOOD: "good", Tone.PLAIN: "plain", Tone.BAD: "bad", Tone.OPEN: "open"}
VERDICT_TONES: Final = {
    MatchResult.MATCH: Tone.GOOD,
    MatchResult.NOT_EVALUABLE: Tone.BAD,
    MatchResult.NEAR_MISS: Tone.OPEN,
    MatchResult.OUT_OF_SCOPE: Tone.OPEN,
}
SEVERITIES: Final = {
    Severity.URGENT: (Tone.BAD, "bad"),
    Severity.WARNING: (Tone.OPEN, "open"),
    Severity.NOTE: (Tone.PLAIN, "info"),
}
NO_TIME: Final = mark_safe('<span class="quiet">–</span>')
KIND_ICON: Final = "kind-"  # how the symbols of receiver kinds start
GENERIC: Final = "generic"
STYLESHEETS: Final = tuple(
    f"css/{name}.css"
    for name in (
        "tokens", "base", "shell", "controls", "blocks", "findings", "projects", "rail", "rows", "charts", "overview",
        "search", "lists", "delivery", "journey", "responsive",
    )
)  # fmt: skip
"""The stylesheets of every page, in the order in which they apply."""

BREAKABLE_SLASH: Final = mark_safe("/<wbr>")
PARTS_WITHOUT_HOST: Final = 2  # of a repository on Docker Hub
DIGEST_SHOWN: Final = 12  # hexadecimal digits: as many as Docker shows


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return an icon of `static/icons.svg`. It is decorative: put a word next to it."""
    return _icon(str(name))


@lru_cache(maxsize=256)  # every row of a list has several icons
def _icon(name: str) -> SafeString:
    # Checked, because a symbol that does not exist would be invisible.
    if name not in symbols():
        raise ValueError(f"static/icons.svg has no symbol {name!r}")
    url = static("icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', url, name)


@lru_cache(maxsize=1)
def symbols() -> frozenset[str]:
    """Return the names of the symbols of `static/icons.svg`."""
    sprite = (settings.BASE_DIR / "static" / "icons.svg").read_text()
    return frozenset(re.findall(r'<symbol id="([^"]+)"', sprite))


@register.simple_tag
def badge(tone: str, word: str) -> SafeString:
    """Return a word in a tone (`good`, `plain`, `bad` or `open`), with the tone's icon."""
    return format_html(
        '<span class="badge" data-tone="{}">{}{}</span>', tone, _icon(TONE_ICONS[Tone(tone)]), word
    )


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """Return the badge of an `Outcome` or a `RefreshOutcome`."""
    return badge(tone(outcome), label(outcome))


@register.simple_tag
def delivery_badge(delivery: Delivery) -> SafeString:
    """Return the badge of a delivery: its outcome, or in how many of its Warehouses there is Freight."""
    return badge(tone(delivery.outcome), headline_of(delivery))


@register.simple_tag
def severity_badge(severity: Severity) -> SafeString:
    """Return the badge of a severity."""
    return format_html(
        '<span class="badge" data-tone="{}">{}{}</span>',
        severity_tone(severity),
        severity_icon(severity),
        severity,
    )


@register.simple_tag
def severity_tone(severity: Severity) -> Tone:
    """Return the tone of a severity."""
    return SEVERITIES[severity][0]


@register.simple_tag
def severity_icon(severity: Severity) -> SafeString:
    """Return the icon of a severity."""
    return _icon(SEVERITIES[severity][1])


@register.simple_tag(takes_context=True)
def when(context: template.Context, at: datetime | None) -> SafeString:
    """Return a relative time with the full date and the zone in its tooltip, or a dash for None."""
    if at is None:
        return NO_TIME
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        at.isoformat(timespec="milliseconds"),
        local_times.full(at, _zone(context)),
        durations.ago((timezone.now() - at).total_seconds()),
    )


@register.simple_tag(takes_context=True)
def time(context: template.Context, at: datetime | None, form: str = "minutes") -> SafeString:
    """Return a time in the reader's zone, with the full date and the zone in its tooltip, or a dash for None.

    `form` is one of `local_times.FORMS`. `kargoweb.js` converts the time if the server doesn't know the zone yet.
    """
    if at is None:
        return NO_TIME
    zone = _zone(context)
    return format_html(
        '<time datetime="{}" title="{}" data-local="{}">{}</time>',
        at.isoformat(timespec="milliseconds"),
        local_times.full(at, zone),
        form,
        local_times.text(at, zone, form),
    )


@register.simple_tag(takes_context=True)
def words(context: template.Context, said: Phrase, form: str = "minutes") -> SafeString:
    """Return a phrase, with its times in the reader's zone and its code as code.

    `form` is the format of times on the current day (see `time`); other times have their date.
    """
    return format_html_join("", "{}", ((_piece(context, piece, form),) for piece in said))


def _piece(context: template.Context, piece: Piece, form: str) -> SafeString:
    if piece.at is not None:
        zone = _zone(context)
        is_today = piece.at.astimezone(zone).date() == timezone.now().astimezone(zone).date()
        return time(context, piece.at, form if is_today else "date")
    text = escape_invisible(piece.text)
    return format_html("<code>{}</code>", text) if piece.code else conditional_escape(text)


def _zone(context: template.Context) -> tzinfo:
    zone = context.get("zone")
    return zone if isinstance(zone, tzinfo) else UTC


@register.filter
def milliseconds(value: float | None) -> str:
    """Return a duration given in milliseconds as text, or a dash for None."""
    return "–" if value is None else durations.duration(value / 1000)


@register.filter
def thousands(value: int) -> str:
    """Return a number with commas between its thousands."""
    return f"{value:,}"


@register.filter
def seconds(value: float | None) -> str:
    """Return a duration given in seconds as text, or a dash for None."""
    return "–" if value is None else durations.duration(value)


register.filter(shown_repository)
register.filter(shown_tag)
register.filter(kind_title)
register.filter(scope_name)


@register.simple_tag
def diff_line(sign: str, text: str) -> SafeString:
    """Return a line of a difference. `sign` is `+`, `-` or a space."""
    line = f"{sign} {escape_invisible(text)}"
    element = {"+": "<ins>{}</ins>", "-": "<del>{}</del>"}.get(sign, "{}")
    return format_html(element, line)


@register.simple_tag
def kind_icon(kind: str) -> SafeString:
    """Return the icon of a receiver kind, that of the generic kind for one that is unknown."""
    return _icon(f"{KIND_ICON}{kind if kind in KINDS else GENERIC}")


@register.simple_tag
def kind_name(kind: str) -> SafeString:
    """Return the icon and the name of a receiver kind."""
    return format_html('<span class="kind-name">{}{}</span>', kind_icon(kind), kind_title(kind))


@register.simple_tag
def kind_mark(kind: str) -> SafeString:
    """Return the icon of a receiver kind for a row with little room: its name is in the tooltip and for screen readers.

    Return nothing for a delivery without a kind.
    """
    if not kind:
        return mark_safe("")
    title = kind_title(kind)
    return format_html(
        '<span class="kind-mark" title="{}">{}<span class="unseen">{} </span></span>',
        title,
        kind_icon(kind),
        title,
    )


@register.simple_tag
def stylesheets() -> SafeString:
    """Return the links to the stylesheets. A tag, so that error pages, which have no context, have them, too."""
    return format_html_join(
        "\n", '<link rel="stylesheet" href="{}">', ((static(name),) for name in STYLESHEETS)
    )


@register.simple_tag
def artifact(repository: str, tag: str = "") -> SafeString:
    """Return `repository:tag`. A name that doesn't fit is truncated; its tooltip has all of it."""
    if not repository:
        return mark_safe('<span class="quiet">unknown</span>')
    full = escape_invisible(f"{repository}:{tag}" if tag else repository)
    repository, tag = escape_invisible(shown_repository(repository, tag)), escape_invisible(shown_tag(tag))
    return format_html(
        '<code class="ellipsis artifact" title="{}"><span class="repository">{}</span>{}</code>',
        full,
        repository,
        format_html('<span class="tag">:{}</span>', tag) if tag else "",
    )


@register.filter
def breakable(name: str) -> SafeString:
    """Return the name of a repository, which may wrap after a slash if it begins with a host."""
    parts = escape_invisible(name).split("/")
    slash = BREAKABLE_SLASH if len(parts) > PARTS_WITHOUT_HOST else "/"
    return format_html_join(slash, "{}", ((part,) for part in parts))


@register.simple_tag
def artifact_link(url: str, repository: str, tag: str = "") -> SafeString:
    """Return a link named `repository:tag`. The name wraps where it doesn't fit."""
    return format_html(
        '<a class="artifact row-link" href="{}">{}{}</a>',
        url,
        breakable(shown_repository(repository, tag)) or "No repository",
        format_html("<b>:{}</b>", escape_invisible(shown_tag(tag))) if tag else "",
    )


@register.simple_tag
def state(tone: str, icon: str, word: str) -> SafeString:
    """Return the word of a state in its tone, with its icon, for a row."""
    return format_html('<span class="state" data-tone="{}">{}{}</span>', tone, _icon(icon), word)


@register.simple_tag
def outcome_state(outcome: str) -> SafeString:
    """Return the word of an `Outcome` or a `RefreshOutcome` in its tone, with its icon, for a row."""
    of_outcome = tone(outcome)
    return state(of_outcome, TONE_ICONS[of_outcome], label(outcome))


@register.simple_tag
def digest(value: str) -> SafeString:
    """Return an artifact's digest, truncated; its tooltip has all of it.

    Never use it for a receiver's digest, which is a credential.
    """
    algorithm, colon, rest = value.partition(":")
    return format_html('<code title="{}">{}</code>', value, f"{algorithm}{colon}{rest[:DIGEST_SHOWN]}")


@register.simple_tag
def chart(drawing: Chart) -> SafeString:
    """Return a chart as SVG, with its text for screen readers."""
    bars = format_html_join(
        "",
        '<rect class="bar" data-tone="{}" x="{}" y="{}" width="{}" height="{}"/>',
        ((bar.tone, bar.x, bar.y, bar.width, bar.height) for bar in drawing.bars),
    )
    return format_html(
        '<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<title>{}</title><path class="ground" d="M0 {}H{}"/>{}</svg>',
        drawing.text,
        drawing.width,
        drawing.height + 1,
        drawing.width,
        drawing.height + 1,
        drawing.text,
        drawing.height + 0.5,
        drawing.width,
        bars,
    )


@register.simple_tag
def copy_button(text: str, what: str, word: str = "Copy") -> SafeString:
    """Return a button that copies `text`. Its label is `word`, followed by `what` for screen readers.

    The button stays hidden without JavaScript.
    """
    return format_html(
        '<button type="button" class="quiet-button copy" data-copy="{}" hidden>{}<span>{}</span>'
        '<span class="unseen"> {}</span></button>',
        conditional_escape(text),
        _icon("copy"),
        word,
        what,
    )


@register.simple_tag
def kubectl(project: str) -> str:
    """Return the command, from Kargo's documentation, that prints the receiver URLs of a project or the cluster."""
    what = f"projectconfigs {project} -n {project}" if project else "clusterconfigs cluster"
    return f"kubectl get {what} -o=jsonpath='{{.status.webhookReceivers}}'"


@register.simple_tag
def tone_icon(tone: str) -> SafeString:
    """Return the icon of a tone."""
    return _icon(TONE_ICONS[Tone(tone)])


@register.simple_tag
def verdict_tone(result: str) -> Tone:
    """Return the tone of a `MatchResult`."""
    return VERDICT_TONES.get(MatchResult(result), Tone.PLAIN)


@register.simple_tag
def verdict_icon(result: str) -> SafeString:
    """Return the icon of a `MatchResult`."""
    return _icon(TONE_ICONS[verdict_tone(result)])


@register.simple_tag
def verdict_state(result: str) -> SafeString:
    """Return a `MatchResult` in its tone, with its icon, for a row."""
    of_result = verdict_tone(result)
    return state(of_result, TONE_ICONS[of_result], verdict_word(result))


@register.simple_tag
def verdict_word(result: str) -> str:
    """Return a `MatchResult` in words."""
    return result.replace("_", " ").capitalize()


@register.filter
def visible(text: Any) -> str:
    """Return untrusted text with invisible and bidirectional control characters escaped."""
    return escape_invisible(str(text))


@register.simple_tag(takes_context=True)
def receiver_name(context: template.Context, delivery: Delivery) -> SafeString:
    """Return the project and name of a delivery's receiver, linked to its page if the user may see that."""
    name, mark = delivery.receiver_name, kind_mark(delivery.kind)
    if not context["access"].may(Action.SEE, delivery.project):
        return format_html('<span class="ellipsis" title="{}">{}{}</span>', name, mark, name)
    return format_html(
        '<a class="ellipsis" href="{}" title="{}">{}{}</a>',
        links.receiver_page_url(delivery.project, delivery.receiver),
        name,
        mark,
        name,
    )
