'use client'

import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useSupabase } from '@/app/providers'
import { barsOf, fetchWaveform } from '@/lib/soundscape/waveform'

const BARS = 120

/** A recording as a row of bars. It is fetched when the row comes into sight. */
export function Thumbnail({ path, title }: { path: string; title: string }) {
  const supabase = useSupabase()
  const place = useRef<HTMLDivElement>(null)
  const [isVisible, setVisible] = useState(false)
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && setVisible(true),
      { rootMargin: '200px' },
    )
    if (place.current) observer.observe(place.current)
    return () => observer.disconnect()
  }, [])
  const { data: bars } = useQuery({
    queryKey: ['thumbnail', path],
    queryFn: async () => barsOf(await fetchWaveform(supabase, path), BARS),
    enabled: isVisible,
    // Names of waveforms carry the version of the bytes: the same name is the same picture.
    staleTime: Infinity,
  })
  return (
    <div ref={place}>
      <Bars bars={bars ?? []} label={`Waveform of ${title}`} />
    </div>
  )
}

export function Bars({ bars, label }: { bars: readonly number[]; label: string }) {
  const d = bars
    .map((bar, i) => {
      const half = Math.max(0.5, bar * 20)
      return `M${i * 3 + 1.5} ${22 - half}V${22 + half}`
    })
    .join('')
  return (
    <svg className="wave" viewBox={`0 0 ${BARS * 3} 44`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path d={d} vectorEffect="non-scaling-stroke" />
    </svg>
  )
}
