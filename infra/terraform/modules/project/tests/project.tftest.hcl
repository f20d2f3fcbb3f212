mock_provider "supabase" {
  override_during = plan

  mock_resource "supabase_project" {
    defaults = { id = "abcdefghijklmnopqrst" }
  }
  mock_resource "supabase_apikey" {
    defaults = { api_key = "sb_secret_of_the_worker" }
  }
}

variables {
  name              = "sounds"
  organization_id   = "my-organization"
  region            = "eu-central-1"
  database_password = "sixteen-characters-or-more"
  site_url          = "https://sounds.example.com"
  redirect_urls     = ["https://preview.example.com/**"]
}

run "gives_the_worker_its_settings" {
  command = plan

  # The publishable key is read once the project exists; a plan does not know it.
  assert {
    condition = nonsensitive([
      output.worker_environment["SUPABASE_URL"],
      output.worker_environment["SUPABASE_SECRET_KEY"],
      sort(keys(output.worker_environment)),
      ]) == [
      "https://abcdefghijklmnopqrst.supabase.co",
      "sb_secret_of_the_worker",
      tolist(["SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_URL"]),
    ]
    error_message = "The worker's settings are those of another project, or one is missing."
  }
}

run "signs_in_to_named_addresses_only" {
  command = plan

  assert {
    condition     = jsondecode(supabase_settings.this.auth).uri_allow_list == "https://sounds.example.com/**,https://preview.example.com/**"
    error_message = "A sign-in may lead elsewhere, or not where it should."
  }
  assert {
    condition     = !can(jsondecode(supabase_settings.this.auth).hook_custom_access_token_enabled)
    error_message = "Auth would call a function that does not exist yet."
  }
}

run "calls_the_hook_once_it_exists" {
  command = plan
  variables {
    enable_auth_hooks = true
  }

  assert {
    condition     = jsondecode(supabase_settings.this.auth).hook_custom_access_token_uri == "pg-functions://postgres/public/custom_access_token_hook"
    error_message = "Auth calls another function than supabase/config.toml names."
  }
}

run "refuses_a_short_password" {
  command = plan
  variables {
    database_password = "short"
  }
  expect_failures = [var.database_password]
}
