"""Error responses of Auth, in GoTrue's codes and words."""

from __future__ import annotations

from typing import Any

# By code: the usual HTTP status and the default message.
REFUSALS: dict[str, tuple[int, str]] = {
    "anonymous_provider_disabled": (422, "Anonymous sign-ins are disabled"),
    "bad_code_verifier": (400, "code challenge does not match previously saved code verifier"),
    "bad_json": (400, "Could not parse request body as JSON"),
    "bad_jwt": (403, "invalid JWT: unable to parse or verify signature"),
    "bad_oauth_callback": (400, "OAuth callback with missing authorization code"),
    "bad_oauth_state": (400, "OAuth state not found or expired"),
    "email_address_not_provided": (422, "Error getting user email from external provider"),
    "email_exists": (422, "A user with this email address has already been registered"),
    "email_not_confirmed": (400, "Email not confirmed"),
    "email_provider_disabled": (422, "Email logins are disabled"),
    "feature_disabled": (422, "This is not part of the embedded Supabase"),
    "flow_state_expired": (403, "invalid flow state, flow state has expired"),
    "flow_state_not_found": (404, "invalid flow state, no valid flow state found"),
    "hook_timeout": (422, "Failed to run the hook in time"),
    "identity_already_exists": (422, "Identity is already linked"),
    "invalid_credentials": (400, "Invalid login credentials"),
    "manual_linking_disabled": (404, "Manual linking is disabled"),
    "no_authorization": (401, "This endpoint requires a valid Bearer token"),
    "not_admin": (403, "User not allowed"),
    "otp_disabled": (422, "Signups not allowed for otp"),
    "otp_expired": (403, "Token has expired or is invalid"),
    "over_email_send_rate_limit": (429, "email rate limit exceeded"),
    "over_request_rate_limit": (429, "Request rate limit reached"),
    "phone_provider_disabled": (400, "Unsupported phone provider"),
    "provider_email_needs_verification": (403, "Unverified email"),
    "refresh_token_already_used": (400, "Invalid Refresh Token: Already Used"),
    "refresh_token_not_found": (400, "Invalid Refresh Token: Refresh Token Not Found"),
    "same_password": (422, "New password should be different from the old password."),
    "session_not_found": (403, "Session from session_id claim in JWT does not exist"),
    "signup_disabled": (422, "Signups not allowed for this instance"),
    "unexpected_failure": (500, "Unexpected failure, please check server logs for more information"),
    "user_already_exists": (422, "User already registered"),
    "user_banned": (400, "User is banned"),
    "user_not_found": (404, "User not found"),
    "validation_failed": (400, "Invalid request"),
    "weak_password": (422, "Password is too weak"),
}


class AuthError(Exception):
    """An error response. `code` is one of GoTrue's error codes."""

    def __init__(self, code: str, message: str = "", *, status: int = 0, **extra: Any) -> None:
        usual_status, usual_words = REFUSALS.get(code, (500, code))
        super().__init__(message or usual_words)
        self.code = code
        self.status = status or usual_status
        self.message = message or usual_words
        self.extra = extra


def invalid(message: str) -> AuthError:
    return AuthError("validation_failed", message)


def feature_disabled(feature: str) -> AuthError:
    return AuthError("feature_disabled", f"{feature} is not part of the embedded Supabase")
