"""The part of a worker that delivers mails and pushes, to be killed: `python -m tests.chaos.deliverer`."""

from __future__ import annotations

import asyncio
import sys

from soundscape.settings import Settings
from soundscape.worker.channels import open_channels
from soundscape.worker.delivery import DeliveryLoop
from soundscape.worker.smtp import SmtpTransport


def main() -> None:
    """Deliver until killed. The argument is the lease in seconds: a mail may take half of it."""
    settings = Settings.from_environment()
    lease_s = int(sys.argv[1])
    assert settings.smtp is not None
    transport = SmtpTransport(settings.smtp, timeout_s=lease_s / 2, send_timeout_s=lease_s / 2)
    channels = open_channels(settings, transport)
    deliveries = DeliveryLoop(channels, interval_s=0.2, lease_s=lease_s, min_pause_s=0.1)
    asyncio.run(deliveries.run(settings))


if __name__ == "__main__":
    main()
