// Ten thousand devices as points: one upload of floats per frame, no worker in between.
//
// Coordinates are kept relative to the first of them, because a 32-bit float of a whole Mercator
// world is two metres coarse at a street.

const VERTEX = `#version 300 es
  uniform mat4 matrix; uniform float size; in vec2 place;
  void main() { gl_Position = matrix * vec4(place, 0., 1.); gl_PointSize = size; }`;
const FRAGMENT = `#version 300 es
  precision mediump float; uniform vec3 colour; uniform vec3 rim; out vec4 seen;
  void main() {
    float far = length(gl_PointCoord - .5);
    if (far > .5) discard;
    seen = vec4(far > .36 ? rim : colour, 1.);
  }`;

const mercator = (lat) => 0.5 - Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360)) / (2 * Math.PI);

/** A custom layer of MapLibre. */
export class Dots {
  constructor(id = "dots") {
    this.id = id;
    this.type = "custom";
    this.renderingMode = "2d";
    this.count = 0;
    this.origin = [0, 0];
    this.places = new Float32Array(0);
    this.colour = [0.18, 0.34, 0.84];
    this.rim = [1, 1, 1];
  }

  onAdd(map, gl) {
    this.map = map;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    this.program = program;
    this.uniforms = Object.fromEntries(
      ["matrix", "size", "colour", "rim"].map((name) => [name, gl.getUniformLocation(program, name)]),
    );
    this.attribute = gl.getAttribLocation(program, "place");
    this.buffer = gl.createBuffer();
    this.stale = true;
  }

  /** Show devices at these places: Float32Array of lng, lat, lng, lat … */
  show(places) {
    const count = places.length / 2;
    if (this.places.length !== places.length) this.places = new Float32Array(places.length);
    if (count) this.origin = [places[0] / 360 + 0.5, mercator(places[1])];
    const [x, y] = this.origin;
    for (let each = 0; each < places.length; each += 2) {
      this.places[each] = places[each] / 360 + 0.5 - x;
      this.places[each + 1] = mercator(places[each + 1]) - y;
    }
    this.count = count;
    this.stale = true;
    this.map?.triggerRepaint();
  }

  render(gl, { defaultProjectionData }) {
    if (!this.count) return;
    gl.useProgram(this.program);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    if (this.stale) gl.bufferData(gl.ARRAY_BUFFER, this.places, gl.DYNAMIC_DRAW);
    this.stale = false;
    const from = defaultProjectionData.mainMatrix;
    const [x, y] = this.origin;
    const matrix = new Float32Array(16);
    for (let row = 0; row < 4; row++) {
      matrix[row] = from[row];
      matrix[4 + row] = from[4 + row];
      matrix[8 + row] = from[8 + row];
      matrix[12 + row] = from[row] * x + from[4 + row] * y + from[12 + row];
    }
    gl.uniformMatrix4fv(this.uniforms.matrix, false, matrix);
    gl.uniform1f(this.uniforms.size, 7 * devicePixelRatio);
    gl.uniform3fv(this.uniforms.colour, this.colour);
    gl.uniform3fv(this.uniforms.rim, this.rim);
    gl.enableVertexAttribArray(this.attribute);
    gl.vertexAttribPointer(this.attribute, 2, gl.FLOAT, false, 8, 0);
    gl.enable(gl.BLEND);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }
}
