'use client'

import { useQuery } from '@tanstack/react-query'
import dynamic from 'next/dynamic'
import { useSupabase } from '@/app/providers'
import { RecordingList } from '@/components/recording-list'
import { readListed } from '@/lib/soundscape/listed'
import { distance, place } from '@/lib/soundscape/words'

const NEARBY_M = 100_000
const SHOWN = 8

const PlaceMap = dynamic(() => import('@/components/place-map').then(({ PlaceMap }) => PlaceMap), {
  ssr: false, loading: () => <div className="map" />,
})

/** Where it was recorded, and what else was recorded near there. */
export function Place({ id, latitude, longitude, precisionM }: {
  id: string
  latitude: number
  longitude: number
  precisionM: number | null
}) {
  const supabase = useSupabase()
  const { data: near } = useQuery({
    queryKey: ['nearby', id, latitude, longitude],
    queryFn: async () => {
      // One more than is shown: the recording is near itself.
      const { data, error } = await supabase.rpc('nearby_audio', { latitude, longitude, radius_m: NEARBY_M, limit: SHOWN + 1 })
      if (error) throw error
      const others = data.filter((row) => row.id !== id).slice(0, SHOWN)
      const distances = new Map(others.map((row) => [row.id, row.distance_m]))
      return { distances, recordings: await readListed(supabase, others.map((row) => row.id)) }
    },
  })
  const words = place(latitude, longitude, precisionM)
  const within = precisionM === null ? '' : `, within ${distance(precisionM)}`
  return (
    <>
      <h2>Where it was recorded</h2>
      <figure className="card stack" style={{ margin: 0 }}>
        <PlaceMap latitude={latitude} longitude={longitude} precisionM={precisionM ?? 0} label={`Map: ${words}${within}`} />
        <figcaption className="row spread small">
          <span>{words}{within}</span>
          {/* A link asks another host only when it is followed. */}
          <a rel="noopener" href={`https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=11/${latitude}/${longitude}`}>
            Open in OpenStreetMap
          </a>
        </figcaption>
      </figure>
      {near && near.recordings.length > 0 && (
        <>
          <h2>Recorded near here</h2>
          <RecordingList
            recordings={near.recordings} context="recording" label="Recorded near here"
            noteOf={(recording) => `${distance(near.distances.get(recording.id) ?? 0)} away`}
          />
        </>
      )}
    </>
  )
}
