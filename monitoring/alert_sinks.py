"""Where alerts go: the log, a webhook, e-mail. A sink is whatever takes an `Alert`; one that fails is tried again."""

import json
import logging
import smtplib
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from typing import Any

from monitoring.alert_rules import Alert

Sink = Callable[[Alert], None]
LOG = logging.getLogger("lehr.alerts")
TRIES = 3


def to_log(alert: Alert) -> None:
    """A warning in the log `lehr.alerts`; what is over, as information."""
    LOG.log(logging.WARNING if alert.state == "raised" else logging.INFO, "%s", headline(alert))


@dataclass(frozen=True)
class Webhook:
    """Posts each alert as JSON; `text` is what chat services show. Raises ValueError for another kind of address."""

    url: str
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"a webhook's address begins with http:// or https://, not {self.url!r}")

    def __call__(self, alert: Alert) -> None:
        """Raises OSError where it is not taken."""
        body = json.dumps({**as_json(alert), "text": headline(alert)}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=self.timeout_seconds):
            pass


@dataclass(frozen=True)
class Email:
    """Sends each alert by a mail server; with `user` over TLS, logged in."""

    host: str
    sender: str
    recipients: Sequence[str]
    port: int = 25
    user: str | None = None
    password: str | None = None
    timeout_seconds: float = 10.0

    def __call__(self, alert: Alert) -> None:
        """Raises OSError where it is not taken (smtplib's errors are such)."""
        message = EmailMessage()
        message["From"], message["To"] = self.sender, ", ".join(self.recipients)
        message["Subject"] = headline(alert)
        message.set_content(
            f"{alert.text}\n\nexperiment {alert.experiment}, run {alert.run}, {alert.at:%Y-%m-%d %H:%M:%S} UTC"
        )
        with smtplib.SMTP(self.host, self.port, timeout=self.timeout_seconds) as server:
            if self.user is not None:
                server.starttls()
                server.login(self.user, self.password or "")
            server.send_message(message)


def send(alert: Alert, sinks: Sequence[Sink]) -> None:
    """Give an alert to every sink, up to three times each; one that would not take it is named in the log."""
    for sink in sinks:
        for attempt in range(1, TRIES + 1):
            try:
                sink(alert)
                break
            except Exception:  # whatever a sink of the user's raises, the others get the alert
                if attempt == TRIES:
                    name = getattr(sink, "__name__", type(sink).__name__)
                    LOG.exception("%s did not take an alert (%s)", name, headline(alert))


def headline(alert: Alert) -> str:
    """The alert in one line."""
    over = "" if alert.state == "raised" else "over: "
    return f"{alert.experiment}: {over}{alert.text}"


def as_json(alert: Alert) -> dict[str, Any]:
    """The alert as plain JSON."""
    return {**asdict(alert), "at": alert.at.isoformat()}
