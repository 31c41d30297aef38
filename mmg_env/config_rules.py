"""What a suite's file says about the rule that was tuned for it.

Source: our choice; the numbers in the shipped suites are made by `mmg tune-rules` on `val`.
"""

from typing import Annotated, Literal

from pydantic import Field

from mmg_env.config_devices import Model, NonNegative, Number, Share

Bias = Annotated[Number, Field(ge=-1.0, le=1.0)]


class Thresholds(Model):
    """When a rule charges, serves, shaves and offers; the defaults are those of an untuned rule."""

    cheap: Share = Field(1 / 3, description="Quantile of the next day's prices to charge below, 1.")
    dear: Share = Field(2 / 3, description="Quantile of the next day's prices to serve above, 1.")
    margin: NonNegative = Field(
        1.0, description="Gain of a cycle, in multiples of its wear, from which it pays, 1."
    )
    fill: Share = Field(
        1.0, description="Share of the usable energy up to which batteries charge when cheap, 1."
    )
    reserve: Share = Field(
        0.0, description="Share of the usable energy kept for peaks and for a grid that fails, 1."
    )
    level: NonNegative = Field(
        1.0, description="Import above which batteries shave, share of the day's expected peak, 1."
    )
    nomination_bias: Bias = Field(
        0.0, description="Nominated beyond what is expected, share of the expected load, 1."
    )
    chp: NonNegative = Field(
        1.0, description="CHP follows heat where it costs less than this share of the purchase, 1."
    )
    chp_power: NonNegative = Field(
        0.0, description="CHP runs in full where it does so even if its heat is of no use, 1."
    )
    offer: Share = Field(0.0, description="Share of the possible reserve that is offered, 1.")


class TunedRuleConfig(Model):
    """The best rule of a suite, its thresholds frozen."""

    rule: Literal["self_consumption", "time_of_use"] = Field(description="What batteries do.")
    thresholds: Thresholds = Field(Thresholds(), description="When they do it.")
