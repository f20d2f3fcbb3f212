'use client'

import { geoAzimuthalEqualArea, geoCircle, geoGraticule10, geoPath } from 'd3-geo'
import { feature, mesh } from 'topojson-client'
import type { Topology } from 'topojson-specification'
import world from 'world-atlas/countries-110m.json'

const [WIDTH, HEIGHT] = [960, 320]
const METRES_PER_DEGREE = 111_195
/** Degrees from the middle to the left edge. Coasts are drawn for maps of continents: nearer, they would be wrong. */
const MIN_HALF_WIDTH_DEG = 14

// Natural Earth, which is in the public domain.
const topology = world as unknown as Topology
const land = feature(topology, topology.objects.land!)
const borders = mesh(topology, topology.objects.countries as never, (a, b) => a !== b)

/** A place on a drawn map, with the circle that it may be in. It asks no other host for tiles. */
export function PlaceMap({ latitude, longitude, precisionM, label }: {
  latitude: number
  longitude: number
  precisionM: number
  label: string
}) {
  const radiusDeg = precisionM / METRES_PER_DEGREE
  const halfWidthDeg = Math.max(MIN_HALF_WIDTH_DEG, radiusDeg * 4)
  const projection = geoAzimuthalEqualArea()
    .rotate([-longitude, -latitude])
    .scale(WIDTH / 2 / ((halfWidthDeg * Math.PI) / 180))
    .translate([WIDTH / 2, HEIGHT / 2])
    .clipExtent([[0, 0], [WIDTH, HEIGHT]])
  const path = geoPath(projection)
  return (
    <svg className="map" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="xMidYMid slice" role="img" aria-label={label}>
      <path className="graticule" d={path(geoGraticule10()) ?? ''} />
      <path className="land" d={path(land) ?? ''} />
      <path className="border" d={path(borders) ?? ''} />
      <path className="radius" d={path(geoCircle().center([longitude, latitude]).radius(radiusDeg)()) ?? ''} />
      <circle className="point" cx={WIDTH / 2} cy={HEIGHT / 2} r={6} />
    </svg>
  )
}
