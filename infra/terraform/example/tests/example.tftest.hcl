mock_provider "supabase" {}

mock_provider "kustomization" {
  override_during = plan

  mock_data "kustomization_overlay" {
    defaults = {
      ids_prio  = [[], ["apps/Deployment/soundscape/soundscape-worker"], []]
      manifests = { "apps/Deployment/soundscape/soundscape-worker" = "{}" }
    }
  }
}

variables {
  organization_id   = "my-organization"
  database_password = "sixteen-characters-or-more"
  site_url          = "https://sounds.example.com"
  image             = { name = "ghcr.io/example/worker", tag = "0.1.0" }
  webhook_secret    = "whsec_secret"
  metrics_token     = "token"
}

# The project's address and keys are not known yet; the worker's objects are.
run "plans_a_project_and_its_worker_at_once" {
  command = plan

  assert {
    condition     = module.worker.objects == toset(["apps/Deployment/soundscape/soundscape-worker"])
    error_message = "The worker's objects are not planned."
  }
}
