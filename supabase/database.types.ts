// Made from the schema by the official CLI, corrected by tests/deploy/type_corrections.py. Not edited by hand.
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  public: {
    Tables: {
      api_keys: {
        Row: {
          created_at: string
          expires_at: string | null
          id: string
          last_used_at: string | null
          name: string
          prefix: string
          revoked_at: string | null
          scope: ApiKeysScope
          user_id: string
        }
        ComputedFields: never
        Insert: {
          created_at?: string
          expires_at?: string | null
          id?: string
          last_used_at?: string | null
          name: string
          prefix: string
          revoked_at?: string | null
          scope: ApiKeysScope
          user_id: string
        }
        Update: {
          created_at?: string
          expires_at?: string | null
          id?: string
          last_used_at?: string | null
          name?: string
          prefix?: string
          revoked_at?: string | null
          scope?: ApiKeysScope
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'api_keys_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      audio_captions: {
        Row: {
          audio_id: string
          caption: string | null
          error_code: string | null
          is_by_owner: boolean
          is_wanted: boolean | null
          keywords: string[]
          model: string | null
          object_version: string | null
          search: unknown
          status: AudioCaptionsStatus
          updated_at: string
          version: number | null
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          caption?: string | null
          error_code?: string | null
          is_by_owner?: boolean
          is_wanted?: boolean | null
          keywords?: string[]
          model?: string | null
          object_version?: string | null
          search?: never
          status?: AudioCaptionsStatus
          updated_at?: string
          version?: number | null
        }
        Update: {
          audio_id?: string
          caption?: string | null
          error_code?: string | null
          is_by_owner?: boolean
          is_wanted?: boolean | null
          keywords?: string[]
          model?: string | null
          object_version?: string | null
          search?: never
          status?: AudioCaptionsStatus
          updated_at?: string
          version?: number | null
        }
        Relationships: [
          {
            foreignKeyName: 'audio_captions_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: true
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
        ]
      }
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
          descriptors: AnalysisRecord
          duration_s: number
          flatness: number | null
          integrated_lufs: number | null
          is_listed: boolean
          key: AudioFeaturesKey | null
          key_confidence: number | null
          loudness_range_lu: number | null
          mode: AudioFeaturesMode | null
          object_version: string
          onset_rate_hz: number | null
          pictures: Partial<AnalysisPictures>
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
          descriptors: AnalysisRecord
          duration_s: number
          flatness?: number | null
          integrated_lufs?: number | null
          is_listed: boolean
          key?: AudioFeaturesKey | null
          key_confidence?: number | null
          loudness_range_lu?: number | null
          mode?: AudioFeaturesMode | null
          object_version: string
          onset_rate_hz?: number | null
          pictures?: Partial<AnalysisPictures>
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
          descriptors?: AnalysisRecord
          duration_s?: number
          flatness?: number | null
          integrated_lufs?: number | null
          is_listed?: boolean
          key?: AudioFeaturesKey | null
          key_confidence?: number | null
          loudness_range_lu?: number | null
          mode?: AudioFeaturesMode | null
          object_version?: string
          onset_rate_hz?: number | null
          pictures?: Partial<AnalysisPictures>
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
          attribution: string | null
          channels: number | null
          content_type: string | null
          created_at: string
          description: string | null
          duration: number | null
          error_code: string | null
          error_message: string | null
          file_path: string
          heard: { [label: string]: number }
          hidden_at: string | null
          hidden_reason: string | null
          id: string
          is_listed: boolean
          is_public: boolean
          labels: string[]
          latitude: number | null
          license: License | null
          location_precision_m: number
          longitude: number | null
          object_etag: string | null
          object_id: string | null
          object_version: string | null
          peaks: number[] | null
          playable: boolean | null
          preview_path: string | null
          preview_size_bytes: number | null
          recorded_at: string | null
          sample_rate: number | null
          search: unknown
          size_bytes: number | null
          sources: RecordingSource[]
          status: AudioFilesStatus
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
          attribution?: string | null
          channels?: number | null
          content_type?: string | null
          created_at?: string
          description?: string | null
          duration?: number | null
          error_code?: string | null
          error_message?: string | null
          file_path: string
          heard?: { [label: string]: number }
          hidden_at?: string | null
          hidden_reason?: string | null
          id?: string
          is_listed?: never
          is_public?: boolean
          labels?: never
          latitude?: number | null
          license?: License | null
          location_precision_m?: number
          longitude?: number | null
          object_etag?: string | null
          object_id?: string | null
          object_version?: string | null
          peaks?: number[] | null
          playable?: boolean | null
          preview_path?: string | null
          preview_size_bytes?: number | null
          recorded_at?: string | null
          sample_rate?: number | null
          search?: unknown
          size_bytes?: number | null
          sources?: RecordingSource[]
          status?: AudioFilesStatus
          tags?: string[]
          title: string
          trace_id?: string | null
          updated_at?: string
          user_id?: string
        }
        Update: {
          analysis_version?: string | null
          analyzed_at?: string | null
          attribution?: string | null
          channels?: number | null
          content_type?: string | null
          created_at?: string
          description?: string | null
          duration?: number | null
          error_code?: string | null
          error_message?: string | null
          file_path?: string
          heard?: { [label: string]: number }
          hidden_at?: string | null
          hidden_reason?: string | null
          id?: string
          is_listed?: never
          is_public?: boolean
          labels?: never
          latitude?: number | null
          license?: License | null
          location_precision_m?: number
          longitude?: number | null
          object_etag?: string | null
          object_id?: string | null
          object_version?: string | null
          peaks?: number[] | null
          playable?: boolean | null
          preview_path?: string | null
          preview_size_bytes?: number | null
          recorded_at?: string | null
          sample_rate?: number | null
          search?: unknown
          size_bytes?: number | null
          sources?: RecordingSource[]
          status?: AudioFilesStatus
          tags?: string[]
          title?: string
          trace_id?: string | null
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'audio_files_license_is_listed'
            columns: ['license']
            isOneToOne: false
            referencedRelation: 'licenses'
            referencedColumns: ['id']
          },
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
          kind: AudioMatchesKind
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
          kind: AudioMatchesKind
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
          kind?: AudioMatchesKind
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
      audio_stats: {
        Row: {
          audio_id: string
          downloads: number
          likes: number
          listener_days: number
          plays: number
          updated_at: string
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          downloads?: number
          likes?: number
          listener_days?: number
          plays?: number
          updated_at?: string
        }
        Update: {
          audio_id?: string
          downloads?: number
          likes?: number
          listener_days?: number
          plays?: number
          updated_at?: string
        }
        Relationships: [
          {
            foreignKeyName: 'audio_stats_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: true
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
        ]
      }
      audio_stats_daily: {
        Row: {
          audio_id: string
          day: string
          downloads: number
          from_elsewhere: number | null
          from_embed: number | null
          from_playlist: number | null
          from_radio: number | null
          from_recommended: number | null
          from_search: number | null
          from_similar: number | null
          heard_quarter_1: number | null
          heard_quarter_2: number | null
          heard_quarter_3: number | null
          heard_quarter_4: number | null
          listened_s: number | null
          listeners: number
          plays: number
          user_id: string
        }
        ComputedFields: never
        Insert: {
          audio_id: string
          day: string
          downloads?: number
          from_elsewhere?: number | null
          from_embed?: number | null
          from_playlist?: number | null
          from_radio?: number | null
          from_recommended?: number | null
          from_search?: number | null
          from_similar?: number | null
          heard_quarter_1?: number | null
          heard_quarter_2?: number | null
          heard_quarter_3?: number | null
          heard_quarter_4?: number | null
          listened_s?: number | null
          listeners?: number
          plays?: number
          user_id: string
        }
        Update: {
          audio_id?: string
          day?: string
          downloads?: number
          from_elsewhere?: number | null
          from_embed?: number | null
          from_playlist?: number | null
          from_radio?: number | null
          from_recommended?: number | null
          from_search?: number | null
          from_similar?: number | null
          heard_quarter_1?: number | null
          heard_quarter_2?: number | null
          heard_quarter_3?: number | null
          heard_quarter_4?: number | null
          listened_s?: number | null
          listeners?: number
          plays?: number
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'audio_stats_daily_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'audio_stats_daily_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
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
      exports: {
        Row: {
          created_at: string
          error_code: string | null
          error_message: string | null
          expires_at: string | null
          file_path: string | null
          file_paths: string[] | null
          finished_at: string | null
          id: string
          parts: number
          size_bytes: number | null
          status: ExportsStatus
          stored_bytes: number
          user_id: string
        }
        ComputedFields: never
        Insert: {
          created_at?: string
          error_code?: string | null
          error_message?: string | null
          expires_at?: string | null
          file_path?: string | null
          file_paths?: never
          finished_at?: string | null
          id?: string
          parts?: number
          size_bytes?: number | null
          status?: ExportsStatus
          stored_bytes?: number
          user_id: string
        }
        Update: {
          created_at?: string
          error_code?: string | null
          error_message?: string | null
          expires_at?: string | null
          file_path?: string | null
          file_paths?: never
          finished_at?: string | null
          id?: string
          parts?: number
          size_bytes?: number | null
          status?: ExportsStatus
          stored_bytes?: number
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'exports_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      feature_flags: {
        Row: {
          active_from: string | null
          active_until: string | null
          description: string
          key: string
          percentage: number
          roles: Database['public']['Enums']['app_role'][]
          state: FeatureFlagsState
          updated_at: string
          user_ids: string[]
        }
        ComputedFields: never
        Insert: {
          active_from?: string | null
          active_until?: string | null
          description: string
          key: string
          percentage?: number
          roles?: Database['public']['Enums']['app_role'][]
          state?: FeatureFlagsState
          updated_at?: string
          user_ids?: string[]
        }
        Update: {
          active_from?: string | null
          active_until?: string | null
          description?: string
          key?: string
          percentage?: number
          roles?: Database['public']['Enums']['app_role'][]
          state?: FeatureFlagsState
          updated_at?: string
          user_ids?: string[]
        }
        Relationships: []
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
      license_history: {
        Row: {
          attribution: string | null
          audio_id: string
          changed_at: string
          changed_by: string | null
          id: string
          license: License | null
        }
        ComputedFields: never
        Insert: {
          attribution?: string | null
          audio_id: string
          changed_at?: string
          changed_by?: string | null
          id?: string
          license?: License | null
        }
        Update: {
          attribution?: string | null
          audio_id?: string
          changed_at?: string
          changed_by?: string | null
          id?: string
          license?: License | null
        }
        Relationships: [
          {
            foreignKeyName: 'license_history_audio_id_fkey'
            columns: ['audio_id']
            isOneToOne: false
            referencedRelation: 'audio_files'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'license_history_changed_by_fkey'
            columns: ['changed_by']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
          {
            foreignKeyName: 'license_history_license_fkey'
            columns: ['license']
            isOneToOne: false
            referencedRelation: 'licenses'
            referencedColumns: ['id']
          },
        ]
      }
      licenses: {
        Row: {
          id: string
          name: string
          url: string | null
        }
        ComputedFields: never
        Insert: {
          id: string
          name: string
          url?: string | null
        }
        Update: {
          id?: string
          name?: string
          url?: string | null
        }
        Relationships: []
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
          measure: MoodRulesMeasure | null
          mood: string
          none_at: number | null
          points: number
          rule: string
        }
        ComputedFields: never
        Insert: {
          full_at?: number | null
          labels?: string[] | null
          measure?: MoodRulesMeasure | null
          mood: string
          none_at?: number | null
          points: number
          rule: string
        }
        Update: {
          full_at?: number | null
          labels?: string[] | null
          measure?: MoodRulesMeasure | null
          mood?: string
          none_at?: number | null
          points?: number
          rule?: string
        }
        Relationships: []
      }
      notification_preferences: {
        Row: {
          channel: NotificationPreferencesChannel
          enabled: boolean
          kind: NotificationKind
          user_id: string
        }
        ComputedFields: never
        Insert: {
          channel: NotificationPreferencesChannel
          enabled: boolean
          kind: NotificationKind
          user_id?: string
        }
        Update: {
          channel?: NotificationPreferencesChannel
          enabled?: boolean
          kind?: NotificationKind
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'notification_preferences_user_id_fkey'
            columns: ['user_id']
            isOneToOne: false
            referencedRelation: 'users'
            referencedColumns: ['id']
          },
        ]
      }
      notifications: {
        Row: {
          audio_id: string | null
          created_at: string
          error_code: string | null
          error_message: string | null
          id: string
          kind: NotificationKind
          read_at: string | null
          trace_id: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          audio_id?: string | null
          created_at?: string
          error_code?: string | null
          error_message?: string | null
          id?: string
          kind: NotificationKind
          read_at?: string | null
          trace_id: string
          user_id: string
        }
        Update: {
          audio_id?: string | null
          created_at?: string
          error_code?: string | null
          error_message?: string | null
          id?: string
          kind?: NotificationKind
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
      push_subscriptions: {
        Row: {
          auth: string
          created_at: string
          endpoint: string
          id: string
          p256dh: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          auth: string
          created_at?: string
          endpoint: string
          id?: string
          p256dh: string
          user_id: string
        }
        Update: {
          auth?: string
          created_at?: string
          endpoint?: string
          id?: string
          p256dh?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'push_subscriptions_user_id_fkey'
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
          reason: ReportsReason
          reporter_id: string | null
          resolution: ReportsResolution | null
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
          reason: ReportsReason
          reporter_id?: string | null
          resolution?: ReportsResolution | null
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
          reason?: ReportsReason
          reporter_id?: string | null
          resolution?: ReportsResolution | null
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
          captions: boolean
          default_is_public: boolean
          default_license: License | null
          favourite_labels: string[]
          fill_from_file: boolean
          locale: string
          quiet_from: string | null
          quiet_until: string | null
          settings: NonNullable<Json>
          theme: UserPreferencesTheme
          time_zone: string
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          captions?: boolean
          default_is_public?: boolean
          default_license?: License | null
          favourite_labels?: string[]
          fill_from_file?: boolean
          locale?: string
          quiet_from?: string | null
          quiet_until?: string | null
          settings?: NonNullable<Json>
          theme?: UserPreferencesTheme
          time_zone?: string
          updated_at?: string
          user_id?: string
        }
        Update: {
          captions?: boolean
          default_is_public?: boolean
          default_license?: License | null
          favourite_labels?: string[]
          fill_from_file?: boolean
          locale?: string
          quiet_from?: string | null
          quiet_until?: string | null
          settings?: NonNullable<Json>
          theme?: UserPreferencesTheme
          time_zone?: string
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: 'user_preferences_license_is_listed'
            columns: ['default_license']
            isOneToOne: false
            referencedRelation: 'licenses'
            referencedColumns: ['id']
          },
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
      cancel_analysis: { Args: { recording: string }; Returns: AudioFilesStatus }
      create_api_key: {
        Args: { expires_at?: string; name: string; scope?: string }
        Returns: {
          id: string
          key: string
          prefix: string
        }[]
      }
      delete_my_account: { Args: Record<PropertyKey, never>; Returns: undefined }
      describe_audio: {
        Args: { rows: Json }
        Returns: {
          code: string | null
          file_path: string | null
          id: string | null
          message: string | null
          place: number
          result: 'created' | 'updated' | 'unchanged' | 'refused'
          status: AudioFilesStatus | null
        }[]
      }
      dismiss_match: { Args: { dismissed?: boolean; match: string }; Returns: undefined }
      export_my_data: { Args: Record<PropertyKey, never>; Returns: string }
      flag: { Args: { fallback?: boolean; key: string }; Returns: boolean }
      flags: {
        Args: Record<PropertyKey, never>
        Returns: {
          is_on: boolean
          key: string
        }[]
      }
      hide_recording: { Args: { reason: string; recording: string }; Returns: undefined }
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
      my_audio_stats: {
        Args: { from: string; recording?: string; to: string }
        Returns: {
          day: string
          downloads: number
          from_elsewhere: number | null
          from_embed: number | null
          from_playlist: number | null
          from_radio: number | null
          from_recommended: number | null
          from_search: number | null
          from_similar: number | null
          heard_quarter_1: number | null
          heard_quarter_2: number | null
          heard_quarter_3: number | null
          heard_quarter_4: number | null
          listened_s: number | null
          listeners: number
          plays: number
        }[]
      }
      nearby_audio: {
        Args: { latitude: number; limit?: number; longitude: number; radius_m?: number }
        Returns: {
          distance_m: number
          id: string
          recording: Database['public']['Tables']['audio_files']['Row']
        }[]
      }
      notification_channels: {
        Args: Record<PropertyKey, never>
        Returns: {
          channel: string
          is_on: boolean
          public_key: string | null
          reason: string | null
        }[]
      }
      notification_settings: {
        Args: Record<PropertyKey, never>
        Returns: {
          channel: string
          description: string
          enabled: boolean
          kind: string
        }[]
      }
      operator_overview: { Args: Record<PropertyKey, never>; Returns: Json }
      radio: {
        Args: { audio_id: string; limit?: number; played?: string[]; seed?: number }
        Returns: {
          id: string
          likeness: number
          recording: Database['public']['Tables']['audio_files']['Row']
        }[]
      }
      recommended_audio: {
        Args: { labels?: string[]; limit?: number; seed?: number }
        Returns: {
          because: string
          because_of: string | null
          id: string
          reason: string
          recording: Database['public']['Tables']['audio_files']['Row']
          rhythm: number | null
          score: number
          tags: number | null
          timbre: number | null
          tonality: number | null
        }[]
      }
      reorder_playlist: { Args: { items: string[]; playlist: string }; Returns: undefined }
      replace_caption: {
        Args: { caption: string; keywords?: string[]; recording: string }
        Returns: undefined
      }
      resolve_report: { Args: { reason: string; report: string; resolution: string }; Returns: undefined }
      restore_recording: { Args: { recording: string }; Returns: undefined }
      retry_analysis: { Args: { recording: string }; Returns: AudioFilesStatus }
      revoke_api_key: { Args: { key: string }; Returns: string }
      save_push_subscription: { Args: { auth: string; endpoint: string; p256dh: string }; Returns: string }
      search_audio: {
        Args: {
          after?: string
          key?: string
          labels?: string[]
          license?: License
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
          license?: License
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
      set_captions: { Args: { recording: string; wanted: boolean }; Returns: undefined }
      similar_audio: {
        Args: {
          audio_id: string
          diversity?: number
          key?: string
          labels?: string[]
          license?: License
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
          rhythm: number | null
          score: number
          tags: number | null
          timbre: number | null
          tonality: number | null
        }[]
      }
      similar_to_embedding: {
        Args: {
          diversity?: number
          embedding: number[]
          key?: string
          labels?: string[]
          license?: License
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
          rhythm: number | null
          score: number
          tags: number | null
          timbre: number | null
          tonality: number | null
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

export type ApiKeysScope = 'read' | 'upload' | 'all'
export type AudioCaptionsStatus = 'queued' | 'ready' | 'skipped' | 'failed'
export type AudioFeaturesKey = 'C' | 'C#' | 'D' | 'D#' | 'E' | 'F' | 'F#' | 'G' | 'G#' | 'A' | 'A#' | 'B'
export type AudioFeaturesMode = 'major' | 'minor'
export type AudioFilesStatus = 'awaiting_upload' | 'queued' | 'analyzing' | 'ready' | 'failed' | 'rejected'
export type AudioMatchesKind = 'identical' | 'same_recording' | 'contains' | 'shared_passage'
export type ExportsStatus = 'queued' | 'running' | 'ready' | 'failed' | 'expired'
export type FeatureFlagsState = 'on' | 'off' | 'some'
export type License =
  | 'CC-BY-1.0'
  | 'CC-BY-2.0'
  | 'CC-BY-2.5'
  | 'CC-BY-3.0'
  | 'CC-BY-4.0'
  | 'CC-BY-NC-1.0'
  | 'CC-BY-NC-2.0'
  | 'CC-BY-NC-2.5'
  | 'CC-BY-NC-3.0'
  | 'CC-BY-NC-4.0'
  | 'CC-BY-NC-ND-1.0'
  | 'CC-BY-NC-ND-2.0'
  | 'CC-BY-NC-ND-2.5'
  | 'CC-BY-NC-ND-3.0'
  | 'CC-BY-NC-ND-4.0'
  | 'CC-BY-NC-SA-1.0'
  | 'CC-BY-NC-SA-2.0'
  | 'CC-BY-NC-SA-2.5'
  | 'CC-BY-NC-SA-3.0'
  | 'CC-BY-NC-SA-4.0'
  | 'CC-BY-ND-1.0'
  | 'CC-BY-ND-2.0'
  | 'CC-BY-ND-2.5'
  | 'CC-BY-ND-3.0'
  | 'CC-BY-ND-4.0'
  | 'CC-BY-SA-1.0'
  | 'CC-BY-SA-2.0'
  | 'CC-BY-SA-2.5'
  | 'CC-BY-SA-3.0'
  | 'CC-BY-SA-4.0'
  | 'CC-PDM-1.0'
  | 'CC0-1.0'
  | 'GFDL-1.3-or-later'
  | 'LAL-1.3'
  | 'all-rights-reserved'
export type MoodRulesMeasure =
  | 'tempo_bpm'
  | 'onset_rate_hz'
  | 'integrated_lufs'
  | 'loudness_range_lu'
  | 'centroid_hz'
export type NotificationKind =
  | 'export_failed'
  | 'export_ready'
  | 'image_refused'
  | 'quota_nearly_full'
  | 'recording_collected'
  | 'recording_failed'
  | 'recording_hidden'
  | 'recording_liked'
  | 'recording_matched'
  | 'recording_ready'
  | 'recording_rejected'
  | 'recording_restored'
  | 'report_resolved'
  | 'weekly_digest'
export type NotificationPreferencesChannel = 'in_app' | 'email' | 'push'
export type ReportsReason = 'copyright' | 'illegal' | 'offensive' | 'spam' | 'misleading' | 'other'
export type ReportsResolution = 'hidden' | 'dismissed'
export type UserPreferencesTheme = 'system' | 'light' | 'dark'

export type RecordingSource = { title: string; url?: string; attribution?: string; license?: License }

/** What one version of the analysis writes. Earlier versions may lack what later ones added. */
export type AnalysisRecord = {
  source: AnalysisSource
  loudness: AnalysisLoudness | null
  rhythm: AnalysisRhythm | null
  tonality: AnalysisTonality | null
  spectral: AnalysisSpectral | null
  tags: AnalysisTag[] | null
  embedding: AnalysisEmbedding | null
  fingerprint: AnalysisFingerprintSummary | null
  waveform: AnalysisWaveform | null
  pictures: AnalysisPictures | null
  stages: AnalysisStage[]
  analysis_version: string
}
export type AnalysisEmbedding = { space: string; values: number[] }
export type AnalysisFingerprintSummary = {
  algorithm: string
  version: number
  peaks: number
  band_hz: number[]
  path: string | null
  acoustid: string | null
}
export type AnalysisHole = { start_s: number; end_s: number }
export type AnalysisLoudness = {
  integrated_lufs: number | null
  range_lu: number | null
  true_peak_dbtp: number | null
  sample_peak_dbfs: number | null
  max_momentary_lufs: number | null
  max_short_term_lufs: number | null
}
export type AnalysisMfcc = { mean: number[]; std: number[] }
export type AnalysisPictures = {
  waveform: string
  waveform_dark: string
  spectrogram: string | null
  spectrogram_dark: string | null
  spectrogram_tiles: AnalysisSpectrogramTiles | null
  thumbnail: string
}
export type AnalysisRhythm = {
  tempo_bpm: number | null
  tempo_confidence: number
  beats_s: number[]
  onset_rate_hz: number
  band_hz: number[]
}
export type AnalysisSource = {
  container: string
  codec: string
  sample_rate: number
  channels: number
  layout: string[] | null
  bit_depth: number | null
  duration_s: number
  claimed_duration_s: number | null
  truncated: boolean
  damaged_packets: number
  holes: AnalysisHole[]
  playable: boolean
  preview: boolean
  track: number
  tracks: number
  dc_offset: number
  phase_correlation: number | null
  warnings: AnalysisSourceWarning[]
  size_bytes: number
  sha256: string
  pcm_blake3: string
  tags: { [name: string]: string }
}
export type AnalysisSourceWarning = { code: string; message: string }
export type AnalysisSpectral = {
  band_hz: number[]
  active_share: number
  centroid_hz: AnalysisSummary
  bandwidth_hz: AnalysisSummary
  rolloff_hz: AnalysisSummary
  flatness: AnalysisSummary
  rms_dbfs: AnalysisSummary
  narrow_band_hz: number[]
  flux: AnalysisSummary | null
  contrast_db: number[] | null
  zero_crossing_rate: AnalysisSummary | null
  mfcc: AnalysisMfcc | null
}
export type AnalysisSpectrogramTiles = {
  paths: string[]
  seconds_per_pixel: number
  width_px: number
  height_px: number
}
export type AnalysisStage = {
  name: string
  version: string
  status: 'done' | 'skipped'
  seconds: number
  reason: string | null
}
export type AnalysisSummary = { mean: number; std: number; min: number; max: number; median: number }
export type AnalysisTag = { label: string; confidence: number; start_s: number; end_s: number }
export type AnalysisTonality = {
  key: string | null
  mode: 'major' | 'minor' | null
  confidence: number
  chroma: number[]
  tuning_cents: number | null
  band_hz: number[]
}
export type AnalysisWaveform = {
  path: string
  json_path: string
  sample_rate: number
  channels: number
  bits: number
  levels: AnalysisWaveformLevel[]
  peaks: number[]
}
export type AnalysisWaveformLevel = {
  path: string
  samples_per_pixel: number
  length: number
  size_bytes: number
}
