package report

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
)

// takenOut replaces a secret.
const takenOut = "(taken out)"

// These expressions match secrets. A secret that has no special form is recognized by the text before it.
var (
	pemKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|$)`)

	// tokens matches tokens with a known prefix, which are JWTs and the tokens of GitHub, GitLab, Docker, npm, PyPI, AWS, Google, Slack,
	// Stripe, OpenAI, Vault and age.
	tokens = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*|\bgh[a-z]_[A-Za-z0-9_]{10,}|\bgithub_pat_[A-Za-z0-9_]{10,}|\bgl[a-z]{2,5}-[A-Za-z0-9_-]{10,}|` +
		`\bdckr_[a-z]+_[A-Za-z0-9_-]{10,}|\bnpm_[A-Za-z0-9]{10,}|\bpypi-[A-Za-z0-9_-]{10,}|\b(AKIA|ASIA|AIza)[A-Za-z0-9_-]{12,}|\bya29\.[A-Za-z0-9_-]{10,}|` +
		`\bxox[a-z]-[A-Za-z0-9-]{8,}|\b[sr]k[-_](live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{16,}|\bhv[sbr]\.[A-Za-z0-9_-]{8,}|\bAGE-SECRET-KEY-[A-Z0-9]{8,}`)

	// user:password@ or token@ of a URL; a password may have a slash or an @ in it.
	userInfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*:(?:\\?/){2})([^\s"'<>/?#\\]+@|[^\s"'<>/?#@:\\]+:[^\s"'<>]*@)`)
	portPath = regexp.MustCompile(`^[^:@]+:[0-9]{1,5}/`)

	// Headers whose whole value is a secret.
	headers = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-(?:[a-z]+-)*(?:token|auth|key|secret)|x-amz-[a-z-]*signature)(["']?\s*[:=]\s*["']?)(?:(basic|bearer|digest|negotiate|token)\s+)?([^"'\r\n]*)`)
	bearer  = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{6,})`)

	// NAME=value, "name": "value", name: several words, -name value.
	words    = `(?:pass(?:word|wd|phrase|code)?|pwd|pw|secret|token|api[_-]?key|apikey|access[_-]?key(?:[_-]?id)?|(?:private|secret|signing|encryption|ssh|master|shared|account|storage)[_-]?key|auth|credentials?|session(?:[_-]?(?:id|key))?|sig|signature|otp)`
	named    = regexp.MustCompile(`(^|[^A-Za-z0-9_./\\-])(--?)?((?i:[a-z0-9_.-]*` + words + `(?:[_-]?(?:id|value|base64|b64|[0-9]+))?)|[A-Z0-9_]+_(?:KEY|PASS|PWD|PW|PSK|CRED|CREDS)(?:_[A-Z0-9]+)?)(\\?["']?\s*[:=]\s*)(.*)`)
	inPath   = regexp.MustCompile(`([./\\])((?i:[a-z0-9_.-]*` + words + `(?:[_-]?(?:id|value|base64|b64|[0-9]+))?)|[A-Z0-9_]+_(?:KEY|PASS|PWD|PW|PSK|CRED|CREDS)(?:_[A-Z0-9]+)?)(=)(.*)`)
	flagged  = regexp.MustCompile(`(?i)(^|\s)(--?[a-z0-9-]*(?:password|passwd|passphrase|secret|token|api-?key|private-?key))(["', ]+)(.*)`)
	userFlag = regexp.MustCompile(`(\s(?:-u|--user|--proxy-user)[ =])([^\s:"']+:[^\s"']*[^\s"'0-9][^\s"']*)`)
	anyName  = regexp.MustCompile(`^(?:(?i:[a-z0-9_.-]*` + words + `(?:[_-]?(?:id|value|base64|b64|[0-9]+))?)|[A-Z0-9_]+_(?:KEY|PASS|PWD|PW|PSK|CRED|CREDS)(?:_[A-Z0-9]+)?)$`)
	isFlag   = regexp.MustCompile(`(?i)^--?[a-z0-9-]*(?:password|passwd|passphrase|secret|join_?token|token|api-?key|private-?key)$`)
)

// Secrets removes passwords, tokens and keys from a text, and changes nothing else.
func Secrets(text string) string {
	text = pemKey.ReplaceAllString(text, "(a private key, taken out)")
	text = tokens.ReplaceAllString(text, takenOut)
	text = userInfo.ReplaceAllStringFunc(text, func(found string) string {
		m := userInfo.FindStringSubmatch(found)
		if strings.Count(m[2], "/") > 0 && portPath.MatchString(m[2]) {
			return found // host:port/path@version
		}
		return m[1] + takenOut + "@"
	})
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = headers.ReplaceAllStringFunc(line, func(found string) string {
			m := headers.FindStringSubmatch(found)
			if strings.TrimSpace(m[4]) == "" {
				return found
			}
			if m[3] != "" {
				m[3] += " "
			}
			return m[1] + m[2] + m[3] + takenOut
		})
		line = bearer.ReplaceAllStringFunc(line, func(found string) string {
			m := bearer.FindStringSubmatch(found)
			if len(m[3]) < 20 && !strings.ContainsAny(m[3], "0123456789") {
				return found // a word
			}
			return m[1] + m[2] + takenOut
		})
		line = userFlag.ReplaceAllString(line, "${1}"+takenOut)
		line = withoutValues(withoutValues(line, named), inPath)
		lines[i] = withoutValues(line, flagged)
	}
	return strings.Join(lines, "\n")
}

// withoutValues removes each value whose name the expression matches. The second-last group of the expression is the separator between a
// name and its value, and the last group is the rest of the line.
func withoutValues(line string, expression *regexp.Regexp) string {
	var done strings.Builder
	for {
		at := expression.FindStringSubmatchIndex(line)
		if at == nil {
			return done.String() + line
		}
		rest := at[len(at)-2]
		name := line[at[len(at)-6]:at[len(at)-5]]
		done.WriteString(line[:rest])
		length := valueLength(line[rest:], strings.Contains(strings.ToLower(name), "pass") || strings.Contains(strings.ToLower(name), "secret"))
		if length > 0 && !strings.HasPrefix(line[rest:], takenOut) && !harmless(name, line[rest:rest+length]) {
			opening, closing := quotes(line[rest : rest+length])
			done.WriteString(opening + takenOut + closing)
		} else {
			done.WriteString(line[rest : rest+length])
		}
		line = line[rest+length:]
	}
}

// quotes returns the quotation marks around a value.
func quotes(value string) (opening, closing string) {
	for _, quote := range []string{`\"`, `"`, `'`} {
		if strings.HasPrefix(value, quote) {
			opening = quote
			if len(value) > 2*len(quote)-1 && strings.HasSuffix(value, quote) {
				closing = quote
			}
			return opening, closing
		}
	}
	return "", ""
}

var nextPair = regexp.MustCompile(`[,;&]\s*["']?[A-Za-z_][A-Za-z0-9_.-]*["']?\s*[:=]|\s["']?[A-Za-z_][A-Za-z0-9_.-]*=|["'}\]]\s*$|",`)

// valueLength returns the length of the value at the beginning of a text. A quoted value ends at its closing quote. A value without quotes
// is one word. But if the parameter several is true, a value without quotes may have several words, as some passwords do. Such a value ends
// at the next name or at the end of the text.
func valueLength(text string, several bool) int {
	for _, quote := range []string{`\"`, `"`, `'`} {
		if strings.HasPrefix(text, quote) {
			for end := len(quote); end < len(text); end++ {
				if strings.HasPrefix(text[end:], quote) {
					return end + len(quote)
				}
				if text[end] == '\\' {
					end++
				}
			}
			return len(text)
		}
	}
	if several {
		if at := nextPair.FindStringIndex(text); at != nil {
			return at[0]
		}
		return len(text)
	}
	if end := strings.IndexAny(text, " \t\",;&')}]"); end >= 0 {
		return end
	}
	return len(text)
}

// harmless reports whether a value cannot be a secret: it is empty, or says yes or no, or is the beginning of a list or block.
func harmless(name, value string) bool {
	switch strings.Trim(strings.ToLower(value), `"'\,`) {
	case "", "true", "false", "null", "nil", "none", "0", "{", "[", "[]", "{}":
		return true
	}
	return false
}

// places has two folders: the user's home and the lab's folder. The function redact replaces the paths of these folders in a text.
type places struct{ home, lab string }

var (
	unixHomes    = regexp.MustCompile(`/(?:home|Users)/[^/\s"':,;)\\]+`)
	windowsHomes = regexp.MustCompile(`(?i)(?:[a-z]:)?[\\/]+(?:users|home|documents and settings)\\+(?:[^\\"':,;<>|\r\n]+\\|[^\\\s"':,;<>|]+)`)
)

// Redact removes what must not leave this machine: passwords, tokens, keys, and the user's name.
func Redact(text string) string {
	home, _ := os.UserHomeDir()
	return places{home: home}.redact(text)
}

func (p places) redact(text string) string {
	text = Secrets(text)
	text = without(text, p.lab, ".")
	text = without(text, p.home, "~")
	text = windowsHomes.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasSuffix(found, `\`) {
			return `~\`
		}
		return "~"
	})
	return unixHomes.ReplaceAllString(text, "~")
}

// without replaces a folder in a text, but only at the beginning of a path, and only as a whole name: /root, but not x/root or /rootless.
func without(text, folder, by string) string {
	if len(folder) < 2 {
		return text
	}
	var done strings.Builder
	for {
		i := strings.Index(text, folder)
		if i < 0 {
			return done.String() + text
		}
		after := i + len(folder)
		inside := i > 0 && nameByte(text[i-1]) || after < len(text) && nameByte(text[after])
		if done.WriteString(text[:i]); inside {
			done.WriteString(folder)
		} else {
			done.WriteString(by)
		}
		text = text[after:]
	}
}

func nameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}

// lines redacts the lines of one text together, because a key has several lines.
func (p places) lines(lines []string) []string {
	if len(lines) == 0 {
		return lines
	}
	return strings.Split(p.redact(strings.Join(lines, "\n")), "\n")
}

// json redacts each text in a JSON value, and keeps the order of the fields.
func (p places) json(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return text
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out bytes.Buffer
	if err := p.value(decoder, &out, ""); err != nil {
		return json.RawMessage(`"(not readable)"`)
	}
	return out.Bytes()
}

// value redacts the next value of the decoder. The parameter name is the name of this value. In a list, name is the text before this value.
func (p places) value(decoder *json.Decoder, out *bytes.Buffer, name string) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		out.WriteString(token.String())
		previous := ""
		for i := 0; decoder.More(); i++ {
			if i > 0 {
				out.WriteByte(',')
			}
			if token == '{' {
				key, err := decoder.Token()
				if err != nil {
					return err
				}
				previous = key.(string)
				write(out, p.redact(previous))
				out.WriteByte(':')
			}
			began := out.Len()
			if err := p.value(decoder, out, previous); err != nil {
				return err
			}
			if token == '[' {
				previous = ""
				var text string
				if json.Unmarshal(out.Bytes()[began:], &text) == nil && isFlag.MatchString(text) {
					previous = text
				}
			}
		}
		end, err := decoder.Token()
		if err != nil {
			return err
		}
		out.WriteString(end.(json.Delim).String())
	case string:
		if (anyName.MatchString(name) || isFlag.MatchString(name)) && !harmless(name, token) {
			token = takenOut
		}
		write(out, p.redact(token))
	default:
		write(out, token)
	}
	return nil
}

func write(out *bytes.Buffer, value any) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // a text or a number
	out.Truncate(out.Len() - 1)
}

func (p places) redacted(host facts.Host, preflight []facts.Problem, start *facts.Problem, sections []*facts.Section) (facts.Host, []facts.Problem, *facts.Problem, []*facts.Section) {
	host.Cut, host.Override = p.redact(host.Cut), p.redact(host.Override)
	for i := range preflight {
		preflight[i] = p.problem(preflight[i])
	}
	if start != nil {
		told := p.problem(*start)
		start = &told
	}
	for _, s := range sections {
		s.Command, s.Status = p.redact(s.Command), p.redact(s.Status)
		s.JSON, s.Lines, s.Errors = p.json(s.JSON), p.lines(s.Lines), p.lines(s.Errors)
	}
	return host, preflight, start, sections
}

func (p places) problem(problem facts.Problem) facts.Problem {
	return facts.Problem{Code: problem.Code, What: p.redact(problem.What), Remedy: p.redact(problem.Remedy)}
}

// Writer removes the secrets from each line, and writes the line to Out.
type Writer struct {
	Out  io.Writer
	rest []byte
}

// Write keeps the text after the last line break for the next call.
func (w *Writer) Write(text []byte) (int, error) {
	w.rest = append(w.rest, text...)
	end := bytes.LastIndexByte(w.rest, '\n') + 1
	if end == 0 {
		return len(text), nil
	}
	_, err := io.WriteString(w.Out, Secrets(string(w.rest[:end])))
	w.rest = append([]byte(nil), w.rest[end:]...)
	return len(text), err
}

// Flush writes a last line that has no line break.
func (w *Writer) Flush() error {
	_, err := io.WriteString(w.Out, Secrets(string(w.rest)))
	w.rest = nil
	return err
}
