output "objects" {
  description = "The objects in the cluster, as group/kind/namespace/name."
  value       = setunion(data.kustomization_overlay.this.ids_prio...)
}
