output "project_ref" {
  description = "The project's reference."
  value       = supabase_project.this.id
}

output "url" {
  description = "The project's address."
  value       = "https://${supabase_project.this.id}.supabase.co"
}

output "publishable_key" {
  description = "The key for browsers."
  value       = data.supabase_apikeys.this.publishable_key
  sensitive   = true
}

output "worker_environment" {
  description = "The worker's settings that come from the project. .env.example has a sentence on each."
  value = {
    SUPABASE_URL             = "https://${supabase_project.this.id}.supabase.co"
    SUPABASE_PUBLISHABLE_KEY = data.supabase_apikeys.this.publishable_key
    SUPABASE_SECRET_KEY      = supabase_apikey.worker.api_key
  }
  sensitive = true
}
