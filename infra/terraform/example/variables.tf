variable "organization_id" {
  description = "Slug of the Supabase organization."
  type        = string
}

variable "region" {
  description = "Where the project runs."
  type        = string
  default     = "eu-central-1"
}

variable "database_password" {
  description = "Password of the database's owner."
  type        = string
  sensitive   = true
}

variable "site_url" {
  description = "Address of the frontend."
  type        = string
}

variable "enable_auth_hooks" {
  description = "Set after the first `soundscape deploy`."
  type        = bool
  default     = false
}

variable "kubeconfig_path" {
  description = "The cluster that the worker runs on."
  type        = string
  default     = "~/.kube/config"
}

variable "image" {
  description = "The worker's image."
  type = object({
    name   = string
    tag    = optional(string)
    digest = optional(string)
  })
}

variable "webhook_secret" {
  description = "whsec_ and 32 random bytes in base64: echo whsec_$(openssl rand -base64 32)"
  type        = string
  sensitive   = true
}

variable "metrics_token" {
  description = "Who bears it may read /api/metrics."
  type        = string
  sensitive   = true
}
