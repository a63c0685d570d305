module github.com/numax-mesh/numax/sandbox/sdk/go

go 1.24
