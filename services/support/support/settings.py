"""What can be set from outside; the only reader of the environment."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.settings import Environment, SettingsError


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of support.

    Args:
        resume_after_s: seconds after which credits is asked again if it did not answer; doubles each time.
        resume_at_most_s: the longest wait between two such questions, in seconds.
        reopen_days: for how long a closed ticket may be opened again.
    """

    resume_after_s: int = 10
    resume_at_most_s: int = 30
    reopen_days: int = 14


def read(environment: Environment) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: naming what is wrong.
    """
    settings = Settings(
        resume_after_s=environment.integer("SUPPORT_RESUME_AFTER_S", 10),
        resume_at_most_s=environment.integer("SUPPORT_RESUME_AT_MOST_S", 30),
        reopen_days=environment.integer("SUPPORT_REOPEN_DAYS", 14, minimum=0),
    )
    environment.check()
    # a question to credits ends after five seconds, and nobody else may ask it meanwhile
    if not 5 < settings.resume_after_s <= settings.resume_at_most_s:
        raise SettingsError("5 < SUPPORT_RESUME_AFTER_S <= SUPPORT_RESUME_AT_MOST_S must hold, in seconds")
    return settings
