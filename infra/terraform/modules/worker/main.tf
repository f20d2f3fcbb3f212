# The overlay of infra/kubernetes with your image and settings: what `kubectl apply -k` would make, under Terraform.

locals {
  overlay = "${path.module}/../../../kubernetes/overlays/${var.size}"
}

# Nothing in it comes from the project: Terraform must know the objects' names before there is one.
data "kustomization_overlay" "this" {
  resources = [local.overlay]

  kustomize_options {
    # The overlays lie beside this module, not below it.
    load_restrictor = "none"
  }

  images {
    name     = "registry.example.com/soundscape-worker"
    new_name = var.image.name
    new_tag  = var.image.tag
    digest   = var.image.digest
  }
}

# It wins over the overlay's ConfigMap, which has a placeholder for SUPABASE_URL. After a change of a setting:
# kubectl --namespace soundscape rollout restart deployment/soundscape-worker
resource "kustomization_resource" "settings" {
  manifest = sensitive(jsonencode({
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "soundscape-worker", namespace = "soundscape" }
    type       = "Opaque"
    stringData = var.environment
  }))
  depends_on = [kustomization_resource.first]
}

# Namespaces first, then what lives in them, then what acts on all of it.
resource "kustomization_resource" "first" {
  for_each = data.kustomization_overlay.this.ids_prio[0]
  manifest = data.kustomization_overlay.this.manifests[each.value]
}

resource "kustomization_resource" "second" {
  for_each   = data.kustomization_overlay.this.ids_prio[1]
  manifest   = data.kustomization_overlay.this.manifests[each.value]
  wait       = true
  depends_on = [kustomization_resource.first, kustomization_resource.settings]
}

resource "kustomization_resource" "third" {
  for_each   = data.kustomization_overlay.this.ids_prio[2]
  manifest   = data.kustomization_overlay.this.manifests[each.value]
  depends_on = [kustomization_resource.second]
}
