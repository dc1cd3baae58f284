# edited: what a learner changes is what runs after make up, and only that is made anew
# shellcheck shell=bash disable=SC2154,SC2016

starts "each file that can be edited, one after the other"
works up "the client is served"
does sed -i.bak 's/"INFO"/"DEBUG"/' spire/agent/agent.conf
works up "rebuilt: spire-agent
" "made anew, for their images or settings have changed: spire-agent
" "the client is served"
asks 'compose logs --no-log-prefix spire-agent' 'level=debug'
does sh -c 'echo "trainer:x:1199:1199::/:/sbin/nologin" >>spire/host/passwd'
does sed -i.bak 's|^say .bootstrap: done.|entry trainer spiffe://example.org/trainer "$host" unix:user:trainer; &|' spire/bootstrap.sh
works up "rebuilt: bootstrap, spire-agent, tools, workload
" "entry create -entryID trainer" "the client is served"
asks 'project=$(project_name); wait_until 10 "it has its identity" inside client trainer svid; inside client trainer svid' "spiffe://example.org/trainer"
does sed -i.bak 's/"Success!!!"/"Success, as edited"/' services/server/main.go
works up "rebuilt: tools, workload
" "Success, as edited"
does sed -i.bak 's/"5s"/"3s"/' compose.yaml
works up "made anew, for their images or settings have changed: client
" "the client is served"
asks 'docker inspect --format "{{.Config.Cmd}}" "$(project=$(project_name) && container_of client)"' "-interval 3s"
does sed -i.bak 's/= "8081"/= "8082"/' spire/agent/agent.conf spire/server/server.conf
works up "rebuilt: spire-agent, spire-server
" "the client is served"
does git checkout -- .
works up "the client is served" "Success!!!"

starts "a program that does not compile"
does sh -c 'echo "func broken( {" >>services/server/main.go'
refused up "services/server/main.go:"

starts "a program with a variable that nobody uses"
does sed -i.bak 's/^func main() {/&\n\tunused := 1/' services/client/main.go
refused up "services/client/main.go:" "declared and not used: unused"

environment "a compose.yaml that is no YAML"
does sh -c 'printf "services:\n\tnode: {\n" >>compose.yaml'
refused up "Compose cannot read compose.yaml: yaml: line " "git diff compose.yaml"

environment "a compose.yaml with a key that Compose does not know"
does sed -i.bak 's/^    command: /    comand: /' compose.yaml
refused up "Compose cannot read compose.yaml: " "'comand' not allowed" "git diff compose.yaml"
