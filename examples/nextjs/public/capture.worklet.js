/** Hands the microphone's samples to the page, 2,048 at a time: 43 ms at 48 kHz. */
const FRAMES = 2048

class Capture extends AudioWorkletProcessor {
  constructor() {
    super()
    this.samples = new Float32Array(FRAMES)
    this.filled = 0
  }

  process([input]) {
    const channel = input[0]
    if (!channel) return true
    let taken = 0
    while (taken < channel.length) {
      const part = channel.subarray(taken, taken + FRAMES - this.filled)
      this.samples.set(part, this.filled)
      this.filled += part.length
      taken += part.length
      if (this.filled === FRAMES) {
        this.port.postMessage(this.samples.buffer, [this.samples.buffer])
        this.samples = new Float32Array(FRAMES)
        this.filled = 0
      }
    }
    return true
  }
}

registerProcessor('capture', Capture)
