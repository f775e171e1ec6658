// Drives Firefox for the tests in Go. Each line of standard input is a command: the body of an async
// function, which runs with the page of a tab and arguments. Each line of standard output is its result,
// or what a tab has seen. Firefox starts with the first tab and ends with standard input.
import { createInterface } from 'node:readline'
import { HtmlValidate } from 'html-validate'
import puppeteer from 'puppeteer-core'

const pages = new Map()
let browser

const write = (line) => process.stdout.write(JSON.stringify(line) + '\n')

// open opens a tab in a browser context of its own, and reports what it sees.
async function open(tab, program, watcher, marker) {
  browser ??= puppeteer.launch({
    browser: 'firefox',
    executablePath: program,
    headless: true,
    acceptInsecureCerts: true,
    timeout: 0, // the tests have limits of their own
    extraPrefsFirefox: {
      // Names of the tests lead to this machine, as *.localhost does by itself.
      'network.dns.localDomains': process.env.HOSTS,
      // Third parties get no cookies, as users may choose.
      'network.cookie.cookieBehavior': 1,
      // Dark pages, for all tests: a page cannot change it over BiDi. Chromium shows both.
      'layout.css.prefers-color-scheme.content-override': 0,
    },
  })

  const context = await (await browser).createBrowserContext()
  const page = await context.newPage()
  page.setDefaultTimeout(0)
  const notice = (kind, text) => write({ tab, notice: { kind, text } })
  page.on('request', (request) => notice('request', request.url()))
  page.on('pageerror', (error) => notice('error', String(error)))
  page.on('console', (message) => {
    if (message.text().startsWith(marker)) notice('violation', message.text().slice(marker.length))
  })
  await page.evaluateOnNewDocument(watcher)
  pages.set(tab, page)
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 20))

// load loads an address and waits until the page is complete. puppeteer misses that when a frame has
// just led the tab elsewhere, so the page is asked, too.
async function load(page, address) {
  // While one page replaces another there is none to mark.
  const mark = () => { window.isOld = true; return true }
  while (!await page.evaluate(mark).catch(() => false)) await pause()

  let loaded = false
  const going = page.goto(address).finally(() => { loaded = true })

  const complete = async () => {
    while (!loaded) {
      const isNew = () => !window.isOld && document.readyState === 'complete'
      if (await page.evaluate(isNew).catch(() => false)) return
      await pause()
    }
  }
  going.catch(() => {}) // after the race it is of no interest
  await Promise.race([going, complete()])
}

// To make a validator takes longer than to judge a document.
const validators = new Map()

// validate returns what html-validate finds in a document.
async function validate(markup, config) {
  const key = JSON.stringify(config)
  if (!validators.has(key)) validators.set(key, new HtmlValidate(config))
  const report = await validators.get(key).validateString(markup)
  return report.results.flatMap((r) => r.messages).map((m) => `${m.line}:${m.column} ${m.ruleId}: ${m.message}`)
}

const AsyncFunction = open.constructor

async function run({ id, tab, body, args }) {
  try {
    const step = new AsyncFunction('page', 'args', 'open', 'load', 'validate', body)
    write({ id, value: (await step(pages.get(tab), args ?? [], open, load, validate)) ?? null })
  } catch (error) {
    write({ id, error: String(error?.message ?? error) || 'unknown error' })
  }
}

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => run(JSON.parse(line)))
lines.on('close', async () => {
  await (await browser)?.close()
  process.exit(0)
})
