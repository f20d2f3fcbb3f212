# The project and its settings. Tables, policies and buckets stay with `soundscape deploy`.

resource "supabase_project" "this" {
  name              = var.name
  organization_id   = var.organization_id
  region            = var.region
  database_password = var.database_password
  instance_size     = var.instance_size

  lifecycle {
    # Recordings are in it.
    prevent_destroy = true
  }
}

locals {
  hooks = var.enable_auth_hooks ? {
    hook_custom_access_token_enabled = true
    hook_custom_access_token_uri     = "pg-functions://postgres/public/custom_access_token_hook"
  } : {}
}

# What is not named here stays as the project has it. supabase/config.toml says the same to the CLI.
resource "supabase_settings" "this" {
  project_ref     = supabase_project.this.id
  ssl_enforcement = true

  api = jsonencode({
    db_schema            = "public"
    db_extra_search_path = "public,extensions"
    max_rows             = 1000
  })

  auth = jsonencode(merge({
    site_url                              = var.site_url
    uri_allow_list                        = join(",", concat(["${var.site_url}/**"], var.redirect_urls))
    password_min_length                   = 8
    mailer_secure_email_change_enabled    = true
    refresh_token_rotation_enabled        = true
    security_refresh_token_reuse_interval = 10
  }, local.hooks))

  storage = jsonencode({
    fileSizeLimit = var.max_file_bytes
  })
}

# A key of the worker's own: it can be revoked without touching anything else.
resource "supabase_apikey" "worker" {
  project_ref = supabase_project.this.id
  name        = "soundscape_worker"
  description = "The SoundScape worker"
}

data "supabase_apikeys" "this" {
  project_ref = supabase_project.this.id
}
