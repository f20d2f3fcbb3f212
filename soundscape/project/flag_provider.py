"""The provider for OpenFeature (https://openfeature.dev): code that asks its client asks the project's flags.

    api.set_provider(FlagProvider(Flags(client)))
    await api.get_client().get_boolean_value_async("captions", False, EvaluationContext(user_id))

Flags are booleans, and are asked over the network: the other types and the calls that are not async have no
answer, so that OpenFeature returns their default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, GeneralError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from soundscape.errors import ProjectError
from soundscape.project.flags import Flags, UnknownFlag


class FlagProvider(AbstractProvider):
    """Resolves boolean flags for the user whose id is the targeting key; without one, for a stranger.

    Parameters
    ----------
    flags
        The project's.
    """

    def __init__(self, flags: Flags) -> None:
        super().__init__()
        self._flags = flags

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(name="soundscape")

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Ask the project. Raises OpenFeature's errors, upon which its client returns the default."""
        user_id = evaluation_context.targeting_key if evaluation_context is not None else None
        try:
            is_on = await self._flags.evaluate(flag_key, user_id or None)
        except UnknownFlag as error:
            raise FlagNotFoundError(error.message) from error
        except ProjectError as error:
            raise GeneralError(error.message) from error
        return FlagResolutionDetails(is_on, reason=Reason.TARGETING_MATCH, variant="on" if is_on else "off")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Raises: a flag is asked over the network."""
        raise GeneralError("Use get_boolean_value_async.")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Raises: flags are booleans."""
        _refuse_type(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Raises: flags are booleans."""
        _refuse_type(flag_key)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Raises: flags are booleans."""
        _refuse_type(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Any]:
        """Raises: flags are booleans."""
        _refuse_type(flag_key)


def _refuse_type(flag_key: str) -> NoReturn:
    raise TypeMismatchError(f"The flag {flag_key} is a boolean.")
