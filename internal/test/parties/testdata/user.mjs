// The user of the test, who is asked on standard output and answers on standard input.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const ask = async (question) => {
  console.log(question)
  return (await lines.next()).value
}

// open has the user open an address, and returns where the browser arrives.
export const open = async (url) => new URL(await ask(`open ${url}`))
// logoutToken returns the next logout token for a client.
export const logoutToken = (client) => ask(`logout ${client}`)
