mock_provider "kustomization" {
  override_during = plan
  mock_data "kustomization_overlay" {
    defaults = {
      ids_prio = [
        ["_/Namespace/_/soundscape"],
        ["apps/Deployment/soundscape/soundscape-worker", "_/Service/soundscape/soundscape-worker"],
        ["policy/PodDisruptionBudget/soundscape/soundscape-worker"],
      ]
      manifests = {
        "_/Namespace/_/soundscape"                                = "{}"
        "apps/Deployment/soundscape/soundscape-worker"            = "{}"
        "_/Service/soundscape/soundscape-worker"                  = "{}"
        "policy/PodDisruptionBudget/soundscape/soundscape-worker" = "{}"
      }
    }
  }
}

variables {
  image = { name = "ghcr.io/example/worker", digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000" }
  environment = {
    SUPABASE_URL              = "https://abcdefghijklmnopqrst.supabase.co"
    SUPABASE_PUBLISHABLE_KEY  = "sb_publishable"
    SUPABASE_SECRET_KEY       = "sb_secret"
    SOUNDSCAPE_WEBHOOK_SECRET = "whsec_secret"
  }
}

run "makes_every_object_in_its_turn" {
  command = plan

  assert {
    condition     = length(kustomization_resource.first) == 1 && length(kustomization_resource.second) == 2 && length(kustomization_resource.third) == 1
    error_message = "An object is missing or is made twice."
  }
  assert {
    condition     = contains(output.objects, "apps/Deployment/soundscape/soundscape-worker")
    error_message = "The Deployment is not among the objects."
  }
}

run "gives_every_setting_in_the_secret" {
  command = plan

  assert {
    condition     = tomap(jsondecode(kustomization_resource.settings.manifest).stringData) == var.environment
    error_message = "The Secret holds other settings."
  }
}

run "refuses_an_image_without_a_version" {
  command = plan
  variables {
    image = { name = "ghcr.io/example/worker" }
  }
  expect_failures = [var.image]
}

run "refuses_an_incomplete_environment" {
  command = plan
  variables {
    environment = { SUPABASE_URL = "https://abcdefghijklmnopqrst.supabase.co" }
  }
  expect_failures = [var.environment]
}
