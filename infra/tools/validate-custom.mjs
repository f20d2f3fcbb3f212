// node validate-custom.mjs NODE_MODULES OBJECTS.json: holds custom resources to the schemas that their operators publish,
// as the packages @kubernetes-models/… have them. Prints what is wrong, and exits with 1 if that is anything.
// The schemas say types and what is required. Like an API server, they ignore fields that they do not know.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [modules, path] = process.argv.slice(2)
const packages = { 'keda.sh': 'keda', 'monitoring.coreos.com': 'prometheus-operator' }

const found = []
for (const object of JSON.parse(readFileSync(path, 'utf8'))) {
  const [group, version] = object.apiVersion.split('/')
  const file = `${modules}/@kubernetes-models/${packages[group]}/${group}/${version}/${object.kind}.js`
  const { [object.kind]: Kind } = await import(pathToFileURL(file))
  try {
    new Kind(object).validate()
  } catch (error) {
    found.push(`${object.kind} ${object.metadata.name}: ${error.message}`)
  }
}
console.log(found.join('\n'))
process.exitCode = found.length > 0 ? 1 : 0
