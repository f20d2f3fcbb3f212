// Made from the schema by the official CLI; tests/deploy/test_types.py says how. Not edited by hand.
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  public: {
    Tables: {
      audio_embeddings: {
        Row: {
          audio_id: string
          created_at: string
          embedding: unknown
          fifth: number | null
          fifth_confidence: number | null
          is_listed: boolean
          is_minor: boolean | null
          label_vector: unknown
          octaves: number | null
          octaves_confidence: number | null
          onsets: number | null
          space: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          created_at?: string
          embedding: unknown
          fifth?: number | null
          fifth_confidence?: number | null
          is_listed: boolean
          is_minor?: boolean | null
          label_vector?: unknown
          octaves?: number | null
          octaves_confidence?: number | null
          onsets?: number | null
          space: string
          user_id: string
        }
        Update: {
          audio_id?: string
          created_at?: string
          embedding?: unknown
          fifth?: number | null
          fifth_confidence?: number | null
          is_listed?: boolean
          is_minor?: boolean | null
          label_vector?: unknown
          octaves?: number | null
          octaves_confidence?: number | null
          onsets?: number | null
          space?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'audio_embeddings_audio_id_fkey'
            columns: ['audio_id', 'user_id', 'is_listed']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id', 'user_id', 'is_listed']
          },
        ]
      }
      audio_features: {
        Row: {
          analysis_version: string
          audio_id: string
          bandwidth_hz: number | null
          centroid_hz: number | null
          created_at: string
          descriptors: NonNullable<Json>
          duration_s: number
          flatness: number | null
          integrated_lufs: number | null
          is_listed: boolean
          key: string | null
          key_confidence: number | null
          loudness_range_lu: number | null
          mode: string | null
          object_version: string
          onset_rate_hz: number | null
          pictures: NonNullable<Json>
          rms_dbfs: number | null
          rolloff_hz: number | null
          sample_peak_dbfs: number | null
          sha256: string
          tempo_bpm: number | null
          tempo_confidence: number | null
          true_peak_dbtp: number | null
          user_id: string
          waveform_path: string
          zero_crossing_rate: number | null
        }
        ComputedFields: never
        Insert: {
          analysis_version: string
          audio_id: string
          bandwidth_hz?: number | null
          centroid_hz?: number | null
          created_at?: string
          descriptors: NonNullable<Json>
          duration_s: number
          flatness?: number | null
          integrated_lufs?: number | null
          is_listed: boolean
          key?: string | null
          key_confidence?: number | null
          loudness_range_lu?: number | null
          mode?: string | null
          object_version: string
          onset_rate_hz?: number | null
          pictures?: NonNullable<Json>
          rms_dbfs?: number | null
          rolloff_hz?: number | null
          sample_peak_dbfs?: number | null
          sha256: string
          tempo_bpm?: number | null
          tempo_confidence?: number | null
          true_peak_dbtp?: number | null
          user_id: string
          waveform_path: string
          zero_crossing_rate?: number | null
        }
        Update: {
          analysis_version?: string
          audio_id?: string
          bandwidth_hz?: number | null
          centroid_hz?: number | null
          created_at?: string
          descriptors?: NonNullable<Json>
          duration_s?: number
          flatness?: number | null
          integrated_lufs?: number | null
          is_listed?: boolean
          key?: string | null
          key_confidence?: number | null
          loudness_range_lu?: number | null
          mode?: string | null
          object_version?: string
          onset_rate_hz?: number | null
          pictures?: NonNullable<Json>
          rms_dbfs?: number | null
          rolloff_hz?: number | null
          sample_peak_dbfs?: number | null
          sha256?: string
          tempo_bpm?: number | null
          tempo_confidence?: number | null
          true_peak_dbtp?: number | null
          user_id?: string
          waveform_path?: string
          zero_crossing_rate?: number | null
        }
        Relationships: [
          {
            foreignKeyName: 'audio_features_audio_id_fkey'
            columns: ['audio_id', 'user_id', 'is_listed']
            isOneToOne: true
            referencedRelation: 'audio_files'
            referencedColumns: ['id', 'user_id', 'is_listed']
          },
        ]
      }
      audio_files: {
        Row: {
          analysis_version: string | null
          analyzed_at: string | null
          channels: number | null
          content_type: string | null
          created_at: string
          description: string | null
          duration: number | null
          error_code: string | null
          error_message: string | null
          file_path: string
          heard: NonNullable<Json>
          hidden_at: string | null
          hidden_reason: string | null
          id: string
          is_listed: boolean
          is_public: boolean
          labels: string[]
          license: string | null
          object_etag: string | null
          object_id: string | null
          object_version: string | null
          sample_rate: number | null
          search: unknown
          size_bytes: number | null
          status: string
          tags: string[]
          title: string
          trace_id: string | null
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          analysis_version?: string | null
          analyzed_at?: string | null
          channels?: number | null
          content_type?: string | null
          created_at?: string
          description?: string | null
          duration?: number | null
          error_code?: string | null
          error_message?: string | null
          file_path: string
          heard?: NonNullable<Json>
          hidden_at?: string | null
          hidden_reason?: string | null
          id?: string
          is_listed?: never
          is_public?: boolean
          labels?: never
          license?: string | null
          object_etag?: string | null
          object_id?: string | null
          object_version?: string | null
          sample_rate?: number | null
          search?: never
          size_bytes?: number | null
          status?: string
          tags?: string[]
          title: string
          trace_id?: string | null
          updated_at?: string
          user_id?: string
        }
        Update: {
          analysis_version?: string | null
          analyzed_at?: string | null
          channels?: number | null
          content_type?: string | null
          created_at?: string
          description?: string | null
          duration?: number | null
          error_code?: string | null
          error_message?: string | null
          file_path?: string
          heard?: NonNullable<Json>
          hidden_at?: string | null
          hidden_reason?: string | null
          id?: string
          is_listed?: never
          is_public?: boolean
          labels?: never
          license?: string | null
          object_etag?: string | null
          object_id?: string | null
          object_version?: string | null
          sample_rate?: number | null
          search?: never
          size_bytes?: number | null
          status?: string
          tags?: string[]
          title?: string
          trace_id?: string | null
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'audio_files_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      audio_matches: {
        Row: {
          audio_id: string
          confidence: number
          created_at: string
          dismissed_at: string | null
          evidence: NonNullable<Json>
          id: string
          kind: string
          matched_audio_id: string
          matched_owner_dismissed_at: string | null
          moderator_dismissed_at: string | null
          owner_dismissed_at: string | null
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          confidence: number
          created_at?: string
          dismissed_at?: never
          evidence?: NonNullable<Json>
          id?: string
          kind: string
          matched_audio_id: string
          matched_owner_dismissed_at?: string | null
          moderator_dismissed_at?: string | null
          owner_dismissed_at?: string | null
        }
        Update: {
          audio_id?: string
          confidence?: number
          created_at?: string
          dismissed_at?: never
          evidence?: NonNullable<Json>
          id?: string
          kind?: string
          matched_audio_id?: string
          matched_owner_dismissed_at?: string | null
          moderator_dismissed_at?: string | null
          owner_dismissed_at?: string | null
        }
        Relationships: [
          {
            foreignKeyName: 'audio_matches_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'audio_matches_matched_audio_id_fkey'
            columns: ['matched_audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
        ]
      }
      audio_tags: {
        Row: {
          audio_id: string
          confidence: number
          end_s: number
          is_listed: boolean
          label: string
          start_s: number
          user_id: string
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          confidence: number
          end_s: number
          is_listed: boolean
          label: string
          start_s: number
          user_id: string
        }
        Update: {
          audio_id?: string
          confidence?: number
          end_s?: number
          is_listed?: boolean
          label?: string
          start_s?: number
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'audio_tags_audio_id_fkey'
            columns: ['audio_id', 'user_id', 'is_listed']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id', 'user_id', 'is_listed']
          },
        ]
      }
      impressions: {
        Row: {
          answer_id: string
          audio_id: string
          model_id: number | null
          place: number
          propensity: number | null
          reason: string
          score: number
          seed: number
          shown_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          answer_id: string
          audio_id: string
          model_id?: number | null
          place: number
          propensity?: number | null
          reason: string
          score: number
          seed: number
          shown_at?: string
          user_id: string
        }
        Update: {
          answer_id?: string
          audio_id?: string
          model_id?: number | null
          place?: number
          propensity?: number | null
          reason?: string
          score?: number
          seed?: number
          shown_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'impressions_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'impressions_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      likes: {
        Row: {
          audio_id: string
          created_at: string
          id: number
          user_id: string
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          created_at?: string
          id?: never
          user_id?: string
        }
        Update: {
          audio_id?: string
          created_at?: string
          id?: never
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'likes_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'likes_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      listening_events: {
        Row: {
          audio_id: string
          completed: boolean
          context: string | null
          created_at: string
          id: number
          listened_s: number
          started_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          completed?: boolean
          context?: string | null
          created_at?: string
          id?: never
          listened_s?: number
          started_at?: string
          user_id?: string
        }
        Update: {
          audio_id?: string
          completed?: boolean
          context?: string | null
          created_at?: string
          id?: never
          listened_s?: number
          started_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'listening_events_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'listening_events_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      mood_rules: {
        Row: {
          full_at: number | null
          labels: string[] | null
          measure: string | null
          mood: string
          none_at: number | null
          points: number
          rule: string
        }
        ComputedFields: never
        Insert: {
          full_at?: number | null
          labels?: string[] | null
          measure?: string | null
          mood: string
          none_at?: number | null
          points: number
          rule: string
        }
        Update: {
          full_at?: number | null
          labels?: string[] | null
          measure?: string | null
          mood?: string
          none_at?: number | null
          points?: number
          rule?: string
        }
        Relationships: []
      }
      notifications: {
        Row: {
          audio_id: string
          created_at: string
          error_code: string | null
          id: string
          kind: string
          read_at: string | null
          trace_id: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          created_at?: string
          error_code?: string | null
          id?: string
          kind: string
          read_at?: string | null
          trace_id: string
          user_id: string
        }
        Update: {
          audio_id?: string
          created_at?: string
          error_code?: string | null
          id?: string
          kind?: string
          read_at?: string | null
          trace_id?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'notifications_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'notifications_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      playlist_items: {
        Row: {
          added_at: string
          audio_id: string
          id: string
          playlist_id: string
          position: number
        }
        ComputedFields: never
        Insert: {
          added_at?: string
          audio_id: string
          id?: string
          playlist_id: string
          position?: number
        }
        Update: {
          added_at?: string
          audio_id?: string
          id?: string
          playlist_id?: string
          position?: number
        }
        Relationships: [
          {
            foreignKeyName: 'playlist_items_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'playlist_items_playlist_id_fkey'
            columns: ['playlist_id']
            isOneToOne: false
            referencedRelation: 'playlists'
            referencedColumns: ['id']
          },
        ]
      }
      playlists: {
        Row: {
          created_at: string
          description: string | null
          id: string
          is_public: boolean
          title: string
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          created_at?: string
          description?: string | null
          id?: string
          is_public?: boolean
          title: string
          updated_at?: string
          user_id?: string
        }
        Update: {
          created_at?: string
          description?: string | null
          id?: string
          is_public?: boolean
          title?: string
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'playlists_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      report_assignments: {
        Row: {
          assignee_id: string
          created_at: string
          report_id: string
        }
        ComputedFields: never
        Insert: {
          assignee_id: string
          created_at?: string
          report_id: string
        }
        Update: {
          assignee_id?: string
          created_at?: string
          report_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'report_assignments_assignee_id_fkey'
            columns: ['assignee_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'report_assignments_report_id_fkey'
            columns: ['report_id']
            isOneToOne: true
            referencedRelation: 'reports'
            referencedColumns: ['id']
          },
        ]
      }
      reports: {
        Row: {
          assigned_at: string | null
          audio_id: string
          created_at: string
          details: string | null
          id: string
          reason: string
          reporter_id: string | null
          resolution: string | null
          resolution_reason: string | null
          resolved_at: string | null
          status: string
        }
        ComputedFields: never
        Insert: {
          assigned_at?: string | null
          audio_id: string
          created_at?: string
          details?: string | null
          id?: string
          reason: string
          reporter_id?: string | null
          resolution?: string | null
          resolution_reason?: string | null
          resolved_at?: string | null
          status?: never
        }
        Update: {
          assigned_at?: string | null
          audio_id?: string
          created_at?: string
          details?: string | null
          id?: string
          reason?: string
          reporter_id?: string | null
          resolution?: string | null
          resolution_reason?: string | null
          resolved_at?: string | null
          status?: never
        }
        Relationships: [
          {
            foreignKeyName: 'reports_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'reports_reporter_id_fkey'
            columns: ['reporter_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      role_permissions: {
        Row: {
          id: number
          permission: Database['public']['Enums']['app_permission']
          role: Database['public']['Enums']['app_role']
        }
        ComputedFields: never
        Insert: {
          id?: number
          permission: Database['public']['Enums']['app_permission']
          role: Database['public']['Enums']['app_role']
        }
        Update: {
          id?: number
          permission?: Database['public']['Enums']['app_permission']
          role?: Database['public']['Enums']['app_role']
        }
        Relationships: []
      }
      user_preferences: {
        Row: {
          default_is_public: boolean
          default_license: string | null
          favourite_labels: string[]
          locale: string
          settings: NonNullable<Json>
          theme: string
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          default_is_public?: boolean
          default_license?: string | null
          favourite_labels?: string[]
          locale?: string
          settings?: NonNullable<Json>
          theme?: string
          updated_at?: string
          user_id?: string
        }
        Update: {
          default_is_public?: boolean
          default_license?: string | null
          favourite_labels?: string[]
          locale?: string
          settings?: NonNullable<Json>
          theme?: string
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'user_preferences_user_id_fkey'
            columns: ['user_id']
            isOneToOne: true
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      user_roles: {
        Row: {
          created_at: string
          id: number
          role: Database['public']['Enums']['app_role']
          user_id: string
        }
        ComputedFields: never
        Insert: {
          created_at?: string
          id?: number
          role: Database['public']['Enums']['app_role']
          user_id: string
        }
        Update: {
          created_at?: string
          id?: number
          role?: Database['public']['Enums']['app_role']
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'user_roles_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      users: {
        Row: {
          avatar_path: string | null
          bio: string | null
          created_at: string
          display_name: string | null
          id: string
          updated_at: string
          username: string | null
        }
        ComputedFields: never
        Insert: {
          avatar_path?: string | null
          bio?: string | null
          created_at?: string
          display_name?: string | null
          id: string
          updated_at?: string
          username?: string | null
        }
        Update: {
          avatar_path?: string | null
          bio?: string | null
          created_at?: string
          display_name?: string | null
          id?: string
          updated_at?: string
          username?: string | null
        }
        Relationships: []
      }
    }
    Views: {
      [_ in never]: never
    }
    Functions: {
      accepted_uploads: {
        Args: Record<PropertyKey, never>
        Returns: {
          extensions: string[]
          max_bytes: number
          mime_types: string[]
        }[]
      }
      assign_report: { Args: { assignee?: string; report: string }; Returns: undefined }
      begin_fit: { Args: { every_h?: number }; Returns: Json }
      cancel_analysis: { Args: { recording: string }; Returns: string }
      cancel_jobs: { Args: { jobs: number[] }; Returns: number[] }
      claim_jobs: {
        Args: { holding?: string[]; lease_s?: number; max_jobs?: number; worker: string }
        Returns: {
          attempt: number
          audio_id: string
          content_type: string
          job_id: number
          object_etag: string
          object_name: string
          object_version: string
          size_bytes: number
          token: string
          trace_id: string
          user_id: string
        }[]
      }
      clear_models: { Args: { max_items?: number; token: string }; Returns: number }
      complete_comparison: {
        Args: { matches: Json; others: string[]; recording: string }
        Returns: undefined
      }
      complete_job: { Args: { job_id: number; result: Json; token: string }; Returns: undefined }
      confirm_deletions: { Args: { bucket: string; removed: string[] }; Returns: undefined }
      custom_access_token_hook: { Args: { event: Json }; Returns: Json }
      dismiss_match: { Args: { dismissed?: boolean; match: string }; Returns: undefined }
      end_fit: { Args: { token: string }; Returns: undefined }
      extend_lease: { Args: { job_id: number; lease_s?: number; token: string }; Returns: string }
      fail_job: {
        Args: { code: string; job_id: number; kind: string; message: string; token: string }
        Returns: string
      }
      fingerprint_candidates: {
        Args: {
          all_owners?: boolean
          for_recording?: string
          frames: number[]
          keys: number[]
          max_candidates?: number
          version: number
          viewer?: string
        }
        Returns: {
          among: number
          audio_id: string
          lag_frames: number
          pairs: number
        }[]
      }
      fit_embeddings: { Args: { recordings: string[]; space: string }; Returns: Json }
      fit_history: { Args: { after?: string; max_people?: number }; Returns: Json }
      hide_recording: { Args: { reason: string; recording: string }; Returns: undefined }
      impressions_after: {
        Args: { after_answer?: string; after_place?: number; after_shown_at?: string; max_rows?: number }
        Returns: {
          answer_id: string
          audio_id: string
          heard: number
          liked: boolean
          model_id: number
          place: number
          propensity: number
          reason: string
          score: number
          seed: number
          shown_at: string
          user_id: string
        }[]
      }
      index_recording: { Args: { object_version: string; recording: string; result: Json }; Returns: boolean }
      index_snapshot: { Args: Record<PropertyKey, never>; Returns: string }
      list_jobs: {
        Args: {
          before?: number
          code?: string
          max_jobs?: number
          owner?: string
          recording?: string
          states?: string[]
        }
        Returns: Json[]
      }
      list_models: { Args: { max_models?: number }; Returns: Json }
      model_items: { Args: { model: number; recordings: string[] }; Returns: Json }
      mood_mix: {
        Args: { limit?: number; mood: string; played?: string[]; seed?: number }
        Returns: {
          because: string[]
          id: string
          points: Json
          recording: Database['public']['Tables']['audio_files']['Row']
          score: number
        }[]
      }
      move_playlist_item: { Args: { item: string; to_position: number }; Returns: undefined }
      next_message_s: { Args: Record<PropertyKey, never>; Returns: number }
      pending_comparisons: {
        Args: { max_fingerprints?: number }
        Returns: {
          audio_id: string
          others: string[]
        }[]
      }
      pending_deletions: {
        Args: { max_objects?: number }
        Returns: {
          bucket_id: string
          names: string[]
        }[]
      }
      publish_model: { Args: { model: number; token: string }; Returns: undefined }
      queue_stats: { Args: Record<PropertyKey, never>; Returns: Json }
      radio: {
        Args: { audio_id: string; limit?: number; played?: string[]; seed?: number }
        Returns: {
          id: string
          likeness: number
          recording: Database['public']['Tables']['audio_files']['Row']
        }[]
      }
      reanalyze: {
        Args: { after?: string; filters?: Json; max_recordings?: number; plan?: boolean; version: string }
        Returns: Json
      }
      recommended_audio: {
        Args: { labels?: string[]; limit?: number; seed?: number }
        Returns: {
          because: string
          because_of: string
          id: string
          reason: string
          recording: Database['public']['Tables']['audio_files']['Row']
          rhythm: number
          score: number
          tags: number
          timbre: number
          tonality: number
        }[]
      }
      reconcile: { Args: Record<PropertyKey, never>; Returns: Json }
      reorder_playlist: { Args: { items: string[]; playlist: string }; Returns: undefined }
      resolve_report: { Args: { reason: string; report: string; resolution: string }; Returns: undefined }
      restore_recording: { Args: { recording: string }; Returns: undefined }
      retry_analysis: { Args: { recording: string }; Returns: string }
      retry_jobs: { Args: { jobs: number[] }; Returns: number[] }
      search_audio: {
        Args: {
          after?: string
          key?: string
          labels?: string[]
          license?: string
          limit?: number
          max_duration_s?: number
          max_loudness_lufs?: number
          max_tempo_bpm?: number
          min_duration_s?: number
          min_loudness_lufs?: number
          min_tempo_bpm?: number
          mode?: string
          query?: string
          sort?: string
        }
        Returns: {
          cursor: string
          id: string
          recording: Database['public']['Tables']['audio_files']['Row']
          score: number
        }[]
      }
      search_facets: {
        Args: {
          key?: string
          labels?: string[]
          license?: string
          max_duration_s?: number
          max_loudness_lufs?: number
          max_tempo_bpm?: number
          min_duration_s?: number
          min_loudness_lufs?: number
          min_tempo_bpm?: number
          mode?: string
          query?: string
        }
        Returns: {
          facet: string
          recordings: number
          value: string
        }[]
      }
      set_queue: {
        Args: { backfill_every?: number; in_flight_per_owner?: number; paused?: boolean }
        Returns: Json
      }
      show_job: { Args: { job_id: number }; Returns: Json }
      similar_audio: {
        Args: {
          audio_id: string
          diversity?: number
          key?: string
          labels?: string[]
          license?: string
          limit?: number
          max_duration_s?: number
          max_loudness_lufs?: number
          max_tempo_bpm?: number
          min_duration_s?: number
          min_loudness_lufs?: number
          min_tempo_bpm?: number
          mode?: string
        }
        Returns: {
          id: string
          recording: Database['public']['Tables']['audio_files']['Row']
          rhythm: number
          score: number
          tags: number
          timbre: number
          tonality: number
        }[]
      }
      similar_to_embedding: {
        Args: {
          diversity?: number
          embedding: number[]
          key?: string
          labels?: string[]
          license?: string
          limit?: number
          max_duration_s?: number
          max_loudness_lufs?: number
          max_tempo_bpm?: number
          min_duration_s?: number
          min_loudness_lufs?: number
          min_tempo_bpm?: number
          mode?: string
          space: string
        }
        Returns: {
          id: string
          recording: Database['public']['Tables']['audio_files']['Row']
          rhythm: number
          score: number
          tags: number
          timbre: number
          tonality: number
        }[]
      }
      stage_cold: {
        Args: { after?: string; max_recordings?: number; model: number; token: string }
        Returns: Json
      }
      stage_items: { Args: { items: Json; model: number; token: string }; Returns: number }
      stage_model: { Args: { map?: Json; model: Json; refused?: boolean; token: string }; Returns: number }
      stored_fingerprints: {
        Args: { recordings: string[] }
        Returns: {
          audio_id: string
          peaks: string
        }[]
      }
      unindexed_recordings: {
        Args: { after?: string; max_recordings?: number; version: number }
        Returns: {
          audio_id: string
          object_version: string
          path: string
        }[]
      }
    }
    Enums: {
      app_permission: 'reports.handle' | 'recordings.moderate' | 'roles.assign'
      app_role: 'user' | 'moderator' | 'admin'
    }
    CompositeTypes: {
      [_ in never]: never
    }
  }
}

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, 'public'>]

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema['Tables'] & DefaultSchema['Views'])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Views'])
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Views'])[TableName] extends {
      Row: infer R
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema['Tables'] & DefaultSchema['Views'])
    ? (DefaultSchema['Tables'] & DefaultSchema['Views'])[DefaultSchemaTableNameOrOptions] extends {
        Row: infer R
      }
      ? R
      : never
    : never

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema['Tables']
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables']
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'][TableName] extends {
      Insert: infer I
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables']
    ? DefaultSchema['Tables'][DefaultSchemaTableNameOrOptions] extends {
        Insert: infer I
      }
      ? I
      : never
    : never

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema['Tables']
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables']
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'][TableName] extends {
      Update: infer U
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables']
    ? DefaultSchema['Tables'][DefaultSchemaTableNameOrOptions] extends {
        Update: infer U
      }
      ? U
      : never
    : never

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema['Enums']
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends (DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions['schema']]['Enums']
    : never) = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions['schema']]['Enums'][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema['Enums']
    ? DefaultSchema['Enums'][DefaultSchemaEnumNameOrOptions]
    : never

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema['CompositeTypes']
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends (PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions['schema']]['CompositeTypes']
    : never) = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions['schema']]['CompositeTypes'][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema['CompositeTypes']
    ? DefaultSchema['CompositeTypes'][PublicCompositeTypeNameOrOptions]
    : never

export const Constants = {
  public: {
    Enums: {
      app_permission: ['reports.handle', 'recordings.moderate', 'roles.assign'],
      app_role: ['user', 'moderator', 'admin'],
    },
  },
} as const
