// `fetch` that asks again for as long as a project says that it was asked too often; see tests/contract/conftest.py.
export const patient = async (...asked) => {
  for (let attempts = 60; ; attempts -= 1) {
    const answer = await fetch(...asked)
    if (answer.status !== 429 || attempts === 0) return answer
    await new Promise((resolve) => setTimeout(resolve, 10_000))
  }
}
