'use client'

import { useQuery } from '@tanstack/react-query'
import { useSupabase } from '@/app/providers'
import type { Licence, Recording, Source } from '@/lib/soundscape/database'
import type { Shown } from './actions'

type Values = Pick<
  Recording,
  'title' | 'description' | 'tags' | 'license' | 'attribution' | 'sources' | 'recorded_at' | 'latitude' | 'longitude'
> & { location_precision_m?: number }

const PRECISIONS = { 1: '1 m', 10: '10 m', 100: '100 m', 1000: '1 km', 10_000: '10 km', 100_000: '100 km' }

/** What its owner may change. The place is rounded to the precision before it is stored. */
export function EditForm({ recording, onSave }: {
  recording: Shown
  onSave: (values: Values) => void
}) {
  const supabase = useSupabase()
  const present = recording.sources
  const { data: licences } = useQuery({
    queryKey: ['licences'],
    staleTime: Infinity,
    queryFn: async () => {
      const { data, error } = await supabase.from('licenses').select('id, name').order('name')
      if (error) throw error
      return data
    },
  })
  return (
    <form
      className="card stack" aria-label="Edit"
      onSubmit={(event) => {
        event.preventDefault()
        const form = new FormData(event.currentTarget)
        const text = (name: string) => String(form.get(name) ?? '').trim()
        onSave({
          title: text('title'),
          description: text('description') || null,
          tags: text('tags').split(',').map((tag) => tag.trim()).filter(Boolean),
          license: (text('license') as Licence) || null,
          attribution: text('attribution') || null,
          sources: sourcesOf(text('sources'), present),
          recorded_at: text('recorded_at') ? new Date(text('recorded_at')).toISOString() : null,
          latitude: text('latitude') ? Number(text('latitude')) : null,
          longitude: text('longitude') ? Number(text('longitude')) : null,
          ...(text('latitude') ? { location_precision_m: Number(text('precision')) } : {}),
        })
      }}
    >
      <div>
        <label htmlFor="title">Title</label>
        <input id="title" name="title" defaultValue={recording.title} required maxLength={200} dir="auto" />
      </div>
      <div>
        <label htmlFor="description">Description</label>
        <textarea id="description" name="description" defaultValue={recording.description ?? ''} maxLength={5000} dir="auto" />
      </div>
      <div className="fields">
        <div>
          <label htmlFor="tags">Tags, with commas between</label>
          <input id="tags" name="tags" defaultValue={recording.tags.join(', ')} dir="auto" />
        </div>
        <div>
          <label htmlFor="license">Licence</label>
          <select key={licences?.length} id="license" name="license" defaultValue={recording.license ?? ''}>
            <option value="">None given</option>
            {licences?.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </div>
        <div>
          <label htmlFor="attribution">Whom to name</label>
          <input id="attribution" name="attribution" defaultValue={recording.attribution ?? ''} dir="auto" />
        </div>
      </div>
      <div>
        <label htmlFor="sources">Made from, one work on each line</label>
        <textarea
          id="sources" name="sources" dir="auto" placeholder="Rain on tin https://example.org/rain"
          defaultValue={present.map(lineOf).join('\n')}
        />
      </div>
      <div className="fields">
        <div>
          <label htmlFor="recorded_at">Recorded on</label>
          <input id="recorded_at" name="recorded_at" type="date" defaultValue={recording.recorded_at?.slice(0, 10)} />
        </div>
        <div>
          <label htmlFor="latitude">Latitude</label>
          <input id="latitude" name="latitude" type="number" step="any" min={-90} max={90} defaultValue={recording.latitude ?? ''} />
        </div>
        <div>
          <label htmlFor="longitude">Longitude</label>
          <input id="longitude" name="longitude" type="number" step="any" min={-180} max={180} defaultValue={recording.longitude ?? ''} />
        </div>
        <div>
          <label htmlFor="precision">Show the place to within</label>
          <select id="precision" name="precision" defaultValue={recording.location_precision_m ?? 1000}>
            {Object.entries(PRECISIONS).map(([metres, label]) => (
              <option key={metres} value={metres}>
                {label}
              </option>
            ))}
          </select>
        </div>
      </div>
      <button className="primary" style={{ justifySelf: 'start' }}>
        Save
      </button>
    </form>
  )
}

const lineOf = ({ title, url }: Source) => [title, url].filter(Boolean).join(' ')

/** "Rain on tin https://example.org/rain" is a title and an address. Lines that stay keep what else is known of them. */
function sourcesOf(text: string, present: Source[]): Source[] {
  const known = new Map(present.map((source) => [lineOf(source), source]))
  return text.split('\n').map((line) => line.trim()).filter(Boolean).map((line) => {
    const [, title, url] = /^(.*?)\s*(https?:\/\/\S+)?$/.exec(line)!
    return known.get(line) ?? { title: title || url!, ...(url ? { url } : {}) }
  })
}
