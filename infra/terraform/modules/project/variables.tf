variable "name" {
  description = "Name of the project."
  type        = string
}

variable "organization_id" {
  description = "Slug of the organization, from the dashboard's address."
  type        = string
}

variable "region" {
  description = "Where the project runs, such as eu-central-1."
  type        = string
}

variable "database_password" {
  description = "Password of the database's owner. `soundscape deploy` connects with it."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.database_password) >= 16
    error_message = "Take at least 16 characters: whoever knows it may do anything with the database."
  }
}

variable "instance_size" {
  description = "Size of the database's machine, such as micro or small. Null leaves it as it is."
  type        = string
  default     = null
}

variable "site_url" {
  description = "Address of the frontend. Mails lead there."
  type        = string

  validation {
    condition     = can(regex("^https?://[^/]+", var.site_url))
    error_message = "Give an address such as https://sounds.example.com."
  }
}

variable "redirect_urls" {
  description = "Further addresses that a sign-in may lead back to; ** stands for any path."
  type        = list(string)
  default     = []
}

variable "max_file_bytes" {
  description = "Largest upload in bytes. Plans have a limit of their own."
  type        = number
  default     = 2147483648
}

variable "enable_auth_hooks" {
  description = <<-EOT
    Whether Auth calls the function that puts roles into tokens. Set it after the first `soundscape deploy`, which makes
    that function: until it exists, Auth would refuse every sign-in. `deploy` sets the hook too.
  EOT
  type        = bool
  default     = false
}
