# A project and its worker. Set the variables in terraform.tfvars or TF_VAR_…, then:
#   terraform init && terraform apply
#   soundscape deploy          with SUPABASE_DB_URL and SUPABASE_ACCESS_TOKEN, see docs/deploy.md
#   terraform apply -var enable_auth_hooks=true

terraform {
  required_version = ">= 1.9"
  required_providers {
    supabase = {
      source  = "supabase/supabase"
      version = "~> 1.9"
    }
    kustomization = {
      source  = "kbst/kustomization"
      version = "~> 0.9.7"
    }
  }
}

# It reads SUPABASE_ACCESS_TOKEN.
provider "supabase" {}

provider "kustomization" {
  kubeconfig_path = var.kubeconfig_path
}

module "project" {
  source = "../modules/project"

  name              = "soundscape"
  organization_id   = var.organization_id
  region            = var.region
  database_password = var.database_password
  site_url          = var.site_url
  enable_auth_hooks = var.enable_auth_hooks
}

module "worker" {
  source = "../modules/worker"

  image = var.image
  environment = merge(module.project.worker_environment, {
    SOUNDSCAPE_WEBHOOK_SECRET = var.webhook_secret
    SOUNDSCAPE_METRICS_TOKEN  = var.metrics_token
  })
}

output "project_url" {
  description = "The project's address."
  value       = module.project.url
}
