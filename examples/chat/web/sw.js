// Keeps the page's files, so that it opens while its node is away. What the node answers is always preferred.
const files = ['./', 'page.css', 'numax.js', 'app.js']
const cache = 'page ' + registration.scope

addEventListener('install', (e) => {
  e.waitUntil(caches.open(cache).then((c) => c.addAll(files)))
  skipWaiting()
})

addEventListener('activate', (e) => e.waitUntil(clients.claim()))

addEventListener('fetch', (e) => {
  const path = e.request.url.slice(registration.scope.length) || './'
  if (e.request.method !== 'GET' || !files.includes(path)) return
  e.respondWith(
    fetch(e.request)
      .then(async (answer) => {
        if (answer.ok) await (await caches.open(cache)).put(e.request, answer.clone())
        return answer
      })
      .catch(async () => (await caches.match(e.request)) ?? Response.error()),
  )
})
