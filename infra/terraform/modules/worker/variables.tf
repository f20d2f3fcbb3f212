variable "size" {
  description = "Which overlay of infra/kubernetes: small, or large (needs KEDA and the Prometheus Operator)."
  type        = string
  default     = "small"

  validation {
    condition     = contains(["small", "large"], var.size)
    error_message = "Take small or large."
  }
}

variable "image" {
  description = "The worker's image, with a tag or, better, a digest."
  type = object({
    name   = string
    tag    = optional(string)
    digest = optional(string)
  })

  validation {
    condition     = (var.image.tag == null) != (var.image.digest == null)
    error_message = "Give either a tag or a digest."
  }
}

variable "environment" {
  description = "Settings of the worker: what the project's module gives, SOUNDSCAPE_WEBHOOK_SECRET, SOUNDSCAPE_METRICS_TOKEN."
  type        = map(string)
  sensitive   = true

  validation {
    condition = alltrue([
      for name in ["SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "SOUNDSCAPE_WEBHOOK_SECRET"] :
      lookup(var.environment, name, "") != ""
    ])
    error_message = "The worker needs SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY and SOUNDSCAPE_WEBHOOK_SECRET."
  }
}
